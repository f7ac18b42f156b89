"""Defaults of every type, inputs beside them, and outputs that hold everything, through a started server and back."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest

from support.serving import Server

TYPES = '''
import pathlib, sys
from typing import Any, Dict, List, Literal, Optional, Union
from cog import BaseModel, BaseRunner, File, Input, Path, Secret


def told(value: Any) -> Any:
    """The name of the type, and the value in plain JSON."""
    name = type(value).__name__
    if isinstance(value, pathlib.Path):
        return [name, value.read_text(), value.suffix]
    if isinstance(value, Secret):
        return [name, value.get_secret_value(), str(value)]
    if hasattr(value, "read"):
        return [name, value.read().decode()]
    if isinstance(value, list):
        return [name, [told(item) for item in value]]
    return [name, value]


class Runner(BaseRunner):
    def run(
        self,
        text: str = "default",
        whole: int = 1,
        number: float = 0.5,
        flag: bool = False,
        path: Path = None,
        plain_path: pathlib.Path = None,
        file: File = None,
        secret: Secret = None,
        default_secret: Secret = Secret("hidden by default"),
        texts: List[str] = ["a"],
        wholes: list[int] = [1],
        paths: list[Path] = None,
        secrets: list[Secret] = None,
        optional: Optional[str] = None,
        modern: "str | None" = "set",
        optional_list: Optional[List[int]] = None,
        either: Union[int, str] = 0,
        either_list: Union[str, List[str]] = "one",
        anything: Any = None,
        free: dict = None,
        typed: Dict[str, int] = {"a": 1},
        color: str = Input(default="red", choices=["red", "green"]),
        size: int = Input(default=2, choices=[1, 2, 4]),
        literal: Literal["small", "large"] = "small",
        limited: float = Input(default=1, ge=0, le=10, description="within limits"),
        name: str = Input(default="abc", min_length=2, max_length=5, regex="^[a-z]+$"),
    ) -> Any:
        return {key: told(value) for key, value in locals().items() if key != "self"}
'''

DEFAULTS = {
    "text": ["str", "default"], "whole": ["int", 1], "number": ["float", 0.5], "flag": ["bool", False],
    "path": ["NoneType", None], "plain_path": ["NoneType", None], "file": ["NoneType", None],
    "secret": ["NoneType", None], "default_secret": ["Secret", "hidden by default", "**********"],
    "texts": ["list", [["str", "a"]]], "wholes": ["list", [["int", 1]]], "paths": ["NoneType", None],
    "secrets": ["NoneType", None], "optional": ["NoneType", None], "modern": ["str", "set"],
    "optional_list": ["NoneType", None], "either": ["int", 0], "either_list": ["str", "one"],
    "anything": ["NoneType", None], "free": ["NoneType", None], "typed": ["dict", {"a": 1}], "color": ["str", "red"],
    "size": ["int", 2], "literal": ["str", "small"], "limited": ["float", 1.0], "name": ["str", "abc"],
}  # fmt: skip


def data_url(text: str, media_type: str = "text/plain") -> str:
    return f"data:{media_type};base64,{base64.b64encode(text.encode()).decode()}"


@pytest.fixture(scope="module", params=["annotations", "texts"])
def server(serve_once: Any, request: pytest.FixtureRequest) -> Server:
    """The model with plain annotations, and with annotations that are kept as text."""
    future = "from __future__ import annotations\n" if request.param == "texts" else ""
    made: Server = serve_once(future + TYPES)
    return made


def seen(server: Server, given: dict[str, Any]) -> Any:
    """What the model got."""
    prediction = server.predict(given).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction["output"]


def test_defaults(server: Server) -> None:
    assert seen(server, {}) == DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("text", "", ["str", ""]),
        ("whole", 0, ["int", 0]),
        ("number", 1e-300, ["float", 1e-300]),
        ("path", data_url("a letter"), ["Path", "a letter", ".txt"]),
        ("plain_path", data_url("[]", "application/json"), ["Path", "[]", ".json"]),
        ("secret", "open sesame", ["Secret", "open sesame", "**********"]),
        ("default_secret", "another", ["Secret", "another", "**********"]),
        ("texts", [], ["list", []]),
        ("wholes", [1, 2.0], ["list", [["int", 1], ["int", 2]]]),
        ("paths", [data_url("1"), data_url("2")], ["list", [["Path", "1", ".txt"], ["Path", "2", ".txt"]]]),
        ("secrets", ["s"], ["list", [["Secret", "s", "**********"]]]),
        ("modern", None, ["NoneType", None]),
        ("optional_list", [3], ["list", [["int", 3]]]),
        ("either_list", ["a", "b"], ["list", [["str", "a"], ["str", "b"]]]),
        ("either_list", "a", ["str", "a"]),
        ("anything", 1.0, ["float", 1.0]),
        ("size", 4.0, ["int", 4]),
        ("limited", 10, ["float", 10.0]),
        ("name", "abcde", ["str", "abcde"]),
    ],
)
def test_an_input_arrives_as_its_type(server: Server, name: str, value: Any, expected: Any) -> None:
    got = seen(server, {name: value})
    assert got[name] == expected
    assert type(got[name][1]) is type(expected[1])
    assert {key: got[key] for key in got if key != name} == {key: DEFAULTS[key] for key in got if key != name}


def test_the_order_of_keys_survives(server: Server) -> None:
    assert list(seen(server, {"free": {"z": 1, "a": 2, "m": 3}})["free"][1]) == ["z", "a", "m"]


def test_a_secret_is_shown_to_the_model_only(server: Server) -> None:
    prediction = server.predict({"secret": "hush-hush", "secrets": ["hush-hush"]}).json()
    assert prediction["input"]["secret"] == "**********"
    assert "hush-hush" not in str(prediction["input"])
    assert prediction["output"]["secret"][1] == "hush-hush"
    assert "hush-hush" not in server.log


OUTPUTS = """
import dataclasses, datetime, decimal, enum, io, pathlib, uuid
from typing import Any, Dict, List, Literal, NamedTuple, Optional, Union
import pydantic
from cog import BaseModel, File, Path, Secret


class Color(enum.Enum):
    RED = "red"


class Inner(BaseModel):
    tags: List[str]
    ratio: Optional[float] = None


class Checked(pydantic.BaseModel):
    when: datetime.date
    items: List[int]
    inner: Optional["Checked"] = None


@dataclasses.dataclass
class Record:
    label: str
    checked: Checked


class Everything(BaseModel):
    text: str
    whole: int
    number: float
    flag: bool
    path: Path
    file: File
    secret: Secret
    nothing: Optional[str]
    modern: "str | None"
    either: Union[int, str]
    inner: Inner
    inners: Dict[str, Inner]
    record: Record
    literal: Literal["a", "b"]
    color: Color
    anything: Any
    free: dict


def everything() -> Everything:
    pathlib.Path("said.txt").write_text("in a path")
    return Everything(
        text="", whole=2**70, number=0.0, flag=False, path=Path("said.txt"), file=io.StringIO("in a file"),
        secret=Secret("hush"), nothing=None, modern="m", either=0, inner=Inner(tags=[]),
        inners={"k": Inner(tags=["t"], ratio=0.5)}, record=RECORD, literal="a", color=Color.RED,
        anything=(1, {2}, b"bytes"), free={"z": decimal.Decimal("1.50"), "a": uuid.UUID(int=5)},
    )


CHECKED = Checked(when=datetime.date(2024, 2, 29), items=[1], inner=Checked(when=datetime.date(2025, 1, 1), items=[]))
RECORD = Record("r", CHECKED)

class Runner:
    def run(self) -> RETURNED:
        return VALUE
"""

CHECKED = {"when": "2024-02-29", "items": [1], "inner": {"when": "2025-01-01", "items": [], "inner": None}}
RECORD = {"label": "r", "checked": CHECKED}


@pytest.mark.parametrize("future", [False, True], ids=["annotations", "texts"])
def test_a_base_model_of_every_type(serve: Any, future: bool) -> None:
    source = OUTPUTS.replace("RETURNED", "Everything").replace("VALUE", "everything()")
    server = serve("from __future__ import annotations\n" * future + source)
    output = server.predict().json()["output"]
    path, file = output.pop("path"), output.pop("file")
    assert base64.b64decode(path.partition(",")[2]) == b"in a path"
    assert base64.b64decode(file.partition(",")[2]) == b"in a file"
    assert output.pop("anything")[:2] == [1, [2]]
    assert output == {
        "text": "", "whole": 2**70, "number": 0.0, "flag": False, "secret": "**********", "nothing": None, "modern": "m",
        "either": 0, "inner": {"tags": [], "ratio": None}, "inners": {"k": {"tags": ["t"], "ratio": 0.5}},
        "record": RECORD, "literal": "a", "color": "red", "free": {"z": "1.50", "a": str(uuid.UUID(int=5))},
    }  # fmt: skip
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    assert "Output" in schemas


@pytest.mark.parametrize(
    ("returned", "value", "expected"),
    [
        ("List[Checked]", "[CHECKED, CHECKED]", [CHECKED, CHECKED]),
        ("Dict[str, Record]", "{'a': RECORD}", {"a": RECORD}),
    ],
)
def test_pydantic_and_dataclasses(serve: Any, returned: str, value: str, expected: Any) -> None:
    server = serve(OUTPUTS.replace("RETURNED", returned).replace("VALUE", value))
    prediction = server.predict().json()
    assert (prediction["status"], prediction["output"]) == ("succeeded", expected), prediction


def test_a_file_of_a_list_is_the_one_that_stood_there_then(serve: Any) -> None:
    """A generator that writes one file again and again: each item has what was in it when it was yielded."""
    server = serve("""
        from typing import Iterator
        from cog import Path

        class Runner:
            def run(self) -> Iterator[Path]:
                for n in range(6):
                    path = Path("same.txt")
                    path.write_text(f"turn {n}")
                    yield path
                    path.unlink()
    """)
    prediction = server.predict().json()
    contents = [base64.b64decode(item.partition(",")[2]).decode() for item in prediction["output"]]
    assert contents == [f"turn {n}" for n in range(6)]
