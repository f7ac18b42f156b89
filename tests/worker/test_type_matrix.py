"""Every type of an input and of an output, over HTTP, with annotations as values and as text."""

from __future__ import annotations

from typing import Any

import pytest

from support.serving import Server

INPUTS = """
from typing import Any, Dict, List, Literal, Optional, Union
import pathlib
from cog import BaseRunner, File, Input, Path, Secret

class Runner(BaseRunner):
    def run(
        self,
        text: str = "t",
        whole: int = 1,
        number: float = 1.0,
        flag: bool = False,
        path: Optional[Path] = None,
        plain_path: Optional[pathlib.Path] = None,
        file: Optional[File] = None,
        key: Optional[Secret] = None,
        texts: list[str] = [],
        paths: List[Path] = [],
        maybe: Optional[int] = 3,
        either: Union[str, int, None] = None,
        things: dict = {},
        typed: Dict[str, int] = {},
        anything: Any = None,
        chosen: str = Input(default="a", choices=["a", "b"]),
        literal: Literal["x", 2] = "x",
    ) -> dict:
        values = {k: v for k, v in locals().items() if k != "self"}
        for name in ("path", "plain_path"):
            if values[name] is not None:
                values[name] = [type(values[name]).__name__, values[name].read_text()]
        if file is not None:
            values["file"] = ["file", file.read().decode()]
        if key is not None:
            values["key"] = len(key.get_secret_value())
        values["paths"] = [p.read_text() for p in paths]
        return {k: [type(v).__name__, v] for k, v in values.items()}
"""

HI = "data:text/plain;base64,aGk="
CASES: list[tuple[str, Any, list[Any]]] = [
    ("text", "é\u0000", ["str", "é\u0000"]),
    ("whole", 2.0, ["int", 2]),
    ("whole", 2**70, ["int", 2**70]),
    ("number", 3, ["float", 3.0]),
    ("flag", True, ["bool", True]),
    ("path", HI, ["list", ["Path", "hi"]]),
    ("plain_path", HI, ["list", ["Path", "hi"]]),
    ("file", HI, ["list", ["file", "hi"]]),
    ("key", "word", ["int", 4]),
    ("key", None, ["NoneType", None]),
    ("texts", ["a", "b"], ["list", ["a", "b"]]),
    ("paths", [HI, "data:,yo"], ["list", ["hi", "yo"]]),
    ("maybe", None, ["NoneType", None]),
    ("either", 5, ["int", 5]),
    ("either", "s", ["str", "s"]),
    ("things", {"z": [1], "a": {"b": None}}, ["dict", {"z": [1], "a": {"b": None}}]),
    ("typed", {"n": 4.0}, ["dict", {"n": 4}]),
    ("anything", [{"deep": [1, 2.5, None]}], ["list", [{"deep": [1, 2.5, None]}]]),
    ("chosen", "b", ["str", "b"]),
    ("literal", 2, ["int", 2]),
]
REFUSED: list[tuple[str, Any]] = [
    ("text", 5), ("whole", 1.5), ("whole", True), ("whole", "2"), ("number", "1"), ("flag", 1), ("path", "/etc/hostname"),
    ("plain_path", ""), ("file", "file:///x"), ("key", 5), ("texts", "a"), ("texts", [1]), ("paths", [HI, "x"]),
    ("maybe", "3"), ("either", 1.5), ("things", []),  ("chosen", "c"), ("literal", "2"),
    ("text", None),
]  # fmt: skip


@pytest.fixture(scope="module", params=["", "from __future__ import annotations\n"], ids=["values", "text"])
def server(request: pytest.FixtureRequest, serve_once: Any) -> Server:
    served: Server = serve_once(request.param + INPUTS)
    return served


@pytest.mark.parametrize(
    ("name", "value", "seen"), CASES, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(CASES)]
)
def test_an_input_arrives_as_declared(server: Server, name: str, value: Any, seen: list[Any]) -> None:
    answer = server.predict({name: value}).json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"][name] == seen


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_wrong_input_is_refused_and_named(server: Server, name: str, value: Any) -> None:
    answer = server.predict({name: value})
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"][:3] == ["body", "input", name]


def test_all_wrong_inputs_at_once(server: Server) -> None:
    answer = server.predict({"text": 1, "whole": "x", "texts": ["a", 2]})
    assert [problem["loc"] for problem in answer.json()["detail"]] == [
        ["body", "input", "text"],
        ["body", "input", "whole"],
        ["body", "input", "texts", 1],
    ]


MADE = """
import dataclasses, datetime, enum
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, NamedTuple, Optional, TypedDict, Union
from uuid import UUID
import pydantic
import cog
from cog import BaseModel, BaseRunner, Path, Secret
from cog.coder import Coder

class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"

class Size(NamedTuple):
    width: int
    unit: str = "px"

@dataclasses.dataclass
class Photo:
    image: Path
    taken: Optional[datetime.date]
    tags: set[str] = dataclasses.field(default_factory=set)

class Login(BaseModel):
    user: str
    key: Secret

class Order(pydantic.BaseModel):
    count: int = pydantic.Field(gt=0)
    photos: list[Photo] = []

class Hint(TypedDict, total=False):
    at: Size

class Vector:
    def __init__(self, parts):
        self.parts = parts

@Coder.register
class VectorCoder(Coder):
    @staticmethod
    def factory(tpe):
        return VectorCoder() if tpe is Vector else None
    def encode(self, value):
        return {"parts": value.parts}
    def decode(self, value):
        return Vector(value["parts"])

def told(value):
    if isinstance(value, Path):
        return "Path:" + value.read_text()
    if isinstance(value, Photo):
        return ["Photo", told(value.image), value.taken, sorted(value.tags)]
    if isinstance(value, Login):
        return ["Login", value.user, len(value.key.get_secret_value())]
    if isinstance(value, Order):
        return ["Order", value.count, [told(photo) for photo in value.photos]]
    if isinstance(value, list) or type(value) is tuple and value and isinstance(value[0], Path):
        return [told(item) for item in value]
    if isinstance(value, Vector):
        return value
    return [type(value).__name__, repr(value)]

class Runner(BaseRunner):
    def run(
        self,
        nested: list[list[int]] = [],
        maybes: list[Optional[int]] = [],
        flag: Literal[True, "auto"] = "auto",
        mode: Mode = Mode.SLOW,
        pair: tuple[int, str] = (1, "a"),
        several: tuple[float, ...] = (),
        size: Size = Size(1),
        unique: set[int] = {3},
        day: datetime.date = datetime.date(2026, 1, 31),
        moment: Optional[datetime.datetime] = None,
        clock: datetime.time = "12:30",
        span: datetime.timedelta = datetime.timedelta(hours=1),
        price: Decimal = Decimal("9.50"),
        ident: Optional[UUID] = None,
        content: bytes = b"",
        photo: Optional[Photo] = None,
        login: Optional[Login] = None,
        order: Optional[Order] = None,
        hint: Hint = {},
        where: Union[Path, str] = "nowhere",
        places: Sequence[Path | Photo | None] = [],
        vector: Optional[Vector] = None,
        cover: tuple[Path, int] | None = None,
    ) -> dict:
        return {name: told(value) for name, value in locals().items() if name != "self"}
"""
DEFAULTS: dict[str, Any] = {
    "nested": [], "maybes": [], "flag": ["str", "'auto'"], "mode": ["Mode", "<Mode.SLOW: 'slow'>"],
    "pair": ["tuple", "(1, 'a')"], "several": ["tuple", "()"], "size": ["Size", "Size(width=1, unit='px')"],
    "unique": ["set", "{3}"], "day": ["date", "datetime.date(2026, 1, 31)"], "moment": ["NoneType", "None"],
    "clock": ["time", "datetime.time(12, 30)"], "span": ["timedelta", "datetime.timedelta(seconds=3600)"],
    "price": ["Decimal", "Decimal('9.50')"], "ident": ["NoneType", "None"], "content": ["bytes", "b''"],
    "photo": ["NoneType", "None"], "login": ["NoneType", "None"], "order": ["NoneType", "None"], "hint": ["dict", "{}"],
    "where": ["str", "'nowhere'"], "places": [], "vector": ["NoneType", "None"],
    "cover": ["NoneType", "None"],
}  # fmt: skip
MADE_CASES: list[tuple[str, Any, Any]] = [
    ("nested", [[1], [2.0]], [[["int", "1"]], [["int", "2"]]]),
    ("maybes", [None, 1], [["NoneType", "None"], ["int", "1"]]),
    ("flag", True, ["bool", "True"]),
    ("mode", "fast", ["Mode", "<Mode.FAST: 'fast'>"]),
    ("pair", [2.0, "b"], ["tuple", "(2, 'b')"]),
    ("several", [1, 2.5], ["tuple", "(1.0, 2.5)"]),
    ("size", [3, "cm"], ["Size", "Size(width=3, unit='cm')"]),
    ("unique", [7, 7], ["set", "{7}"]),
    ("day", "2024-02-29", ["date", "datetime.date(2024, 2, 29)"]),
    ("moment", "2024-02-29T10:00:00Z", ["datetime", "datetime.datetime(2024, 2, 29, 10, 0, tzinfo=datetime.timezone.utc)"]),
    ("span", "P1DT30M", ["timedelta", "datetime.timedelta(days=1, seconds=1800)"]),
    ("price", "0.10", ["Decimal", "Decimal('0.10')"]),
    ("ident", "12345678123456781234567812345678", ["UUID", "UUID('12345678-1234-5678-1234-567812345678')"]),
    ("content", HI, ["bytes", "b'hi'"]),
    ("photo", {"image": HI, "tags": ["b", "a", "b"]}, ["Photo", "Path:hi", None, ["a", "b"]]),
    ("photo", {"image": HI, "taken": "2026-01-31"}, ["Photo", "Path:hi", "2026-01-31", []]),
    ("login", {"user": "ada", "key": "hunter2"}, ["Login", "ada", 7]),
    ("order", {"count": 2, "photos": [{"image": HI}]}, ["Order", 2, [["Photo", "Path:hi", None, []]]]),
    ("hint", {"at": [1], "more": 5}, ["dict", "{'at': Size(width=1, unit='px'), 'more': 5}"]),
    ("where", HI, "Path:hi"),
    ("where", "/etc/hostname", ["str", "'/etc/hostname'"]),
    ("places", [HI, None, {"image": "data:,yo"}], ["Path:hi", ["NoneType", "None"], ["Photo", "Path:yo", None, []]]),
    ("vector", {"parts": [1, 2]}, {"parts": [1, 2]}),
    ("cover", [HI, 3], ["Path:hi", ["int", "3"]]),
]  # fmt: skip
MADE_REFUSED: list[tuple[str, Any, list[Any]]] = [
    ("nested", [[1.5]], [0, 0]), ("flag", False, []), ("mode", "FAST", []), ("pair", [1], []), ("pair", ["a", "b"], [0]),
    ("unique", [[1]], [0]), ("day", "2026-02-30", []), ("span", "1h", []), ("price", 9.5, []), ("ident", "x", []),
    ("content", "hi", []), ("content", "data:;base64,%%%", []), ("photo", {"image": "no URL"}, ["image"]),
    ("photo", {"image": "data:;base64,%%%"}, ["image"]), ("login", {"user": "a"}, ["key"]),
    ("order", {"count": 1, "photos": [{}]}, ["photos", 0, "image"]), ("hint", {"at": []}, ["at"]),
    ("places", ["no URL"], [0]), ("vector", [1], []), ("where", "data:;base64,%%%", []), ("cover", ["data:;base64,%%%", 1], [0]),
    ("cover", [HI], []),
]  # fmt: skip


@pytest.fixture(scope="module")
def made(serve_once: Any) -> Server:
    served: Server = serve_once(MADE)
    return served


def test_defaults_of_made_types(made: Server) -> None:
    answer = made.predict({}).json()
    assert answer["output"] == DEFAULTS, answer


@pytest.mark.parametrize(
    ("name", "value", "seen"), MADE_CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(MADE_CASES)]
)
def test_an_input_becomes_what_it_stands_for(made: Server, name: str, value: Any, seen: Any) -> None:
    answer = made.predict({name: value}).json()
    assert answer["status"] == "succeeded", answer
    assert answer["output"] == DEFAULTS | {name: seen}
    assert "hunter2" not in str(answer)


@pytest.mark.parametrize(
    ("name", "value", "place"), MADE_REFUSED, ids=[f"{c[0]}-{n}" for n, c in enumerate(MADE_REFUSED)]
)
def test_a_value_that_cannot_become_one_is_refused(
    made: Server, name: str, value: Any, place: list[Any]
) -> None:
    answer = made.predict({name: value})
    assert answer.status == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "input", name, *place]]


def test_what_a_class_itself_refuses_fails_the_prediction(made: Server) -> None:
    answer = made.predict({"order": {"count": 0}}).json()
    assert answer["status"] == "failed"
    assert answer["error"].startswith("InputRefused: input order: Order does not take it: ValidationError: ")
    assert "greater than 0" in answer["error"]


def test_the_document_of_made_types_is_valid(made: Server) -> None:
    from openapi_spec_validator import OpenAPIV30SpecValidator

    document = made.get("/openapi.json").json()
    OpenAPIV30SpecValidator(document).validate()
    found = document["components"]["schemas"]["Input"]["properties"]
    assert found["day"] == {
        "type": "string",
        "format": "date",
        "title": "Day",
        "x-order": 8,
        "default": "2026-01-31",
    }
    assert found["mode"]["enum"] == ["fast", "slow"]
    assert found["photo"]["properties"]["image"]["format"] == "uri"


PUT_OUT = """
import dataclasses, datetime, decimal, enum, io, uuid
from typing import Any, Iterator, Optional, Union
import cog, numpy
from PIL import Image

class Mode(enum.Enum):
    FAST = "fast"

@dataclasses.dataclass
class Photo:
    image: Image.Image
    box: tuple[int, int]

def red():
    return Image.new("RGB", (2, 1), "red")

def text(name):
    open(name, "w").write("hi")
    return cog.Path(name)

def run(what: str) -> Optional[Union[dict[str, Union[cog.Path, list[cog.Path]]], Photo, Image.Image, numpy.ndarray, str, float]]:
    return eval(what)
"""
PUT_OUT_CASES: list[tuple[str, Any]] = [
    ("None", None),
    ("numpy.array([[1, 2.5]])", [[1, 2.5]]),
    ("numpy.float16(0.5)", 0.5),
    ("red()", "PNG"),
    ("{'a': [red(), text('a.txt')], 'b': {'c': (red(),)}}", {"a": ["PNG", HI], "b": {"c": ["PNG"]}}),
    ("Photo(red(), (1, 2))", {"image": "PNG", "box": [1, 2]}),
    ("[cog.Path(text('b.txt')), io.StringIO('hi'), b'hi']", [HI, HI, "data:application/octet-stream;base64,aGk="]),
    ("{Mode.FAST: Mode.FAST, 'd': decimal.Decimal('1.50'), 'u': uuid.UUID(int=1)}",
     {"fast": "fast", "d": "1.50", "u": "00000000-0000-0000-0000-000000000001"}),
    ("{'t': datetime.timedelta(minutes=90), 's': {3, 1, 2}}", {"t": "PT1H30M", "s": [1, 2, 3]}),
]  # fmt: skip


@pytest.fixture(scope="module")
def output(serve_once: Any) -> Server:
    pytest.importorskip("numpy")
    pytest.importorskip("PIL.Image")
    served: Server = serve_once(PUT_OUT, config='run: "run.py:run"\n')
    return served


def named(value: Any) -> Any:
    """A PNG by its name."""
    if isinstance(value, str) and value.startswith("data:image/png;base64,iVBORw0KGgo"):
        return "PNG"
    if isinstance(value, list):
        return [named(item) for item in value]
    return {key: named(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(("what", "expected"), PUT_OUT_CASES)
def test_whatever_is_put_out_has_a_form_in_json(output: Server, what: str, expected: Any) -> None:
    answer = output.predict({"what": what}).json()
    assert answer["status"] == "succeeded", answer
    assert named(answer["output"]) == expected


def test_the_document_of_such_an_output(output: Server) -> None:
    found = output.get("/openapi.json").json()["components"]["schemas"]["Output"]
    assert found["nullable"] is True
    assert found["anyOf"][1]["properties"]["image"] == {"type": "string", "format": "uri", "title": "Image"}


OUTPUTS: dict[str, tuple[str, Any]] = {
    "cog model": (
        "class Out(cog.BaseModel):\n    a: int\n    b: Optional[str]\ndef run() -> Out:\n    return Out(a=1, b=None)\n",
        {"a": 1, "b": None},
    ),
    "pydantic": (
        "import pydantic\nclass Out(pydantic.BaseModel):\n    a: int\n    b: list[str] = ['x']\ndef run() -> Out:\n    return Out(a=1)\n",
        {"a": 1, "b": ["x"]},
    ),
    "dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass Out:\n    a: int\n    p: cog.Path\n"
        "def run() -> Out:\n    open('f.txt', 'w').write('hi')\n    return Out(1, cog.Path('f.txt'))\n",
        {"a": 1, "p": HI},
    ),
    "list of records": (
        "class Out(cog.BaseModel):\n    a: int\ndef run() -> List[Out]:\n    return [Out(a=1), Out(a=2)]\n", [{"a": 1}, {"a": 2}],
    ),
    "any": ("def run() -> Any:\n    return {'k': (1, {2}, None)}\n", {"k": [1, [2], None]}),
    "none": ("def run() -> Any:\n    return None\n", None),
    "dict": ("def run() -> Dict[str, float]:\n    return {'z': 1.5, 'a': 2}\n", {"z": 1.5, "a": 2}),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTPUTS)
def test_an_output_arrives_as_json(serve: Any, what: str) -> None:
    source, expected = OUTPUTS[what]
    server: Server = serve(
        "import cog\nfrom typing import Any, Dict, List, Optional\n" + source, config='run: "run.py:run"\n'
    )
    answer = server.predict().json()
    assert (answer["status"], answer["output"]) == ("succeeded", expected), answer
    assert server.get("/openapi.json").status == 200
