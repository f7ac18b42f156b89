from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import types
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cog
from cog.errors import OutputError
from cog.signature.encode import encode
from cog.signature.kinds import Anything, Array, Boolean, File, Integer, Number
from cog.signature.outputs import output_kind


def refuse(value: object) -> str:
    raise AssertionError(f"{value!r} is no file")


def plain(value: object) -> Any:
    return json.loads(encode(value, refuse))


class Marks:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def __call__(self, value: object) -> str:
        self.seen.append(value)
        return f"mark-{len(self.seen)}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


@given(JSON)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert plain(value) == value


ODD = st.recursive(
    st.none() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
        | st.sets(st.integers())
    ),
)


@given(ODD)
def test_it_encodes_or_says_where(value: object) -> None:
    text, said = b"null", "output"
    try:
        text = encode(value, refuse)
    except OutputError as error:
        said = str(error)
    assert said.startswith("output")
    json.loads(text)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str, enum.Enum):
    ONE = "one"


class Pair(NamedTuple):
    a: int
    b: str


class Model(cog.BaseModel):
    text: str
    files: list[cog.Path]


@dataclasses.dataclass
class Data:
    when: datetime.date
    inner: object


class Dumps:
    def model_dump(self) -> dict[str, object]:
        return {"a": {1}}


class Dicts:
    def dict(self) -> object:
        return {"b": (1, 2)}


UID = uuid.UUID("12345678123456781234567812345678")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, [2]), [1, [2]]),
        ({3}, [3]),
        (frozenset("a"), ["a"]),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        (array.array("i", [1, 2]), [1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [["a", 1]]),
        (iter("ab"), ["a", "b"]),
        (map(str, [1]), ["1"]),
        ({"x": (i for i in "ab")}, {"x": ["a", "b"]}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Word.ONE, "one"),
        ({Colour.RED: 1, Word.ONE: 2, Level.HIGH: 3}, {"red": 1, "one": 2, "3": 3}),
        ({2: "a", None: "b", True: "c", 1.5: "d"}, {"2": "a", "true": "c", "null": "b", "1.5": "d"}),
        ({UID: 1, pathlib.Path("/a"): 3}, {str(UID): 1, "/a": 3}),
        ({datetime.date(2024, 1, 2): 2}, {"2024-01-02": 2}),
        (Pair(1, "x"), [1, "x"]),
        (Data(datetime.date(2024, 1, 2), Data(datetime.date(2024, 1, 3), None)),
         {"when": "2024-01-02", "inner": {"when": "2024-01-03", "inner": None}}),
        (Dumps(), {"a": [1]}),
        (Dicts(), {"b": [1, 2]}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.timezone.utc), "2024-01-02T03:04:00+00:00"),
        (datetime.time(1, 2), "01:02:00"),
        (datetime.timedelta(days=1, seconds=90), "P1DT1M30S"),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        ({1, "a"}, ["a", 1]),
        ({datetime.timedelta(1): {UID}}, {"P1D": [str(UID)]}),
        (decimal.Decimal("1.10"), "1.10"),
        (UID, str(UID)),
        (b"\x00\xff", "data:application/octet-stream;base64,AP8="),
        (bytearray(b"a"), "data:application/octet-stream;base64,YQ=="),
        (cog.Secret("x"), "**********"),
        ({"a": cog.Secret(None)}, {"a": "**********"}),
        (2**70, 2**70),
        (-(10**4000), -(10**4000)),
        ("é\u2028 \x00", "é\u2028 \x00"),
        ("a\ud800b", "a\ufffdb"),
        ({"\udfff": ["\ud800"]}, {"\ufffd": ["\ufffd"]}),
    ],
)  # fmt: skip
def test_values(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_it_is_compact_utf8() -> None:
    assert encode({"a": [1, "é"], "b": None}, refuse) == '{"a":[1,"é"],"b":null}'.encode()


def test_order_of_keys_is_kept() -> None:
    assert encode({"z": 1, "a": 2, "m": 3}, refuse) == b'{"z":1,"a":2,"m":3}'


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.array([[1, 2]]), "f": numpy.float32(1.5), "i": numpy.int64(3), "b": numpy.bool_(True)}
    assert plain(value) == {"a": [[1, 2]], "f": 1.5, "i": 3, "b": True}
    assert plain({numpy.int64(1): 2}) == {"1": 2}
    assert plain(numpy.longdouble(2)) == 2
    assert plain(numpy.array(5)) == 5
    assert plain(numpy.array(["a", "b"])) == ["a", "b"]
    assert plain(numpy.array(["2026-01-31"], dtype="datetime64[D]")) == ["2026-01-31"]
    assert plain(numpy.array([Colour.RED, None], dtype=object)) == ["red", None]
    with pytest.raises(OutputError, match=r"output.a\[1\] is NaN"):
        plain({"a": numpy.array([1.0, numpy.nan])})
    with pytest.raises(OutputError, match=r"output\[0\] is an object of class complex"):
        plain(numpy.array([1j]))
    for annotation, kind in (
        (numpy.ndarray, Array(Anything())), (numpy.float32, Number()), (numpy.uint8, Integer()), (numpy.bool_, Boolean()),
        (types.GenericAlias(list, numpy.ndarray), Array(Array(Anything()))),
    ):  # fmt: skip
        assert output_kind(annotation) == kind


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr", "HSV", "I", "La", "RGBa"]
)
def test_an_image_is_a_png_file(mode: str) -> None:
    image = pytest.importorskip("PIL.Image")
    given_ = image.new(mode, (3, 2))
    marks = Marks()
    assert json.loads(encode({"a": [given_], "b": Data(datetime.date(2024, 1, 2), given_)}, marks)) == {
        "a": ["mark-1"], "b": {"when": "2024-01-02", "inner": "mark-2"},
    }  # fmt: skip
    file: Any = marks.seen[0]
    assert file.name == "output.png"
    with image.open(file) as again:
        assert (again.format, again.size) == ("PNG", (3, 2))
        assert (
            again.convert("RGB").getpixel((0, 0))
            == (given_ if mode != "La" else image.new("LA", (3, 2)))
            .convert("RGBA" if mode == "RGBa" else "RGB")
            .getpixel((0, 0))[:3]
        )
    assert output_kind(image.Image) == File("path")


def test_an_image_that_png_cannot_hold() -> None:
    image = pytest.importorskip("PIL.Image")
    for given_ in (image.new("F", (1, 1)), image.new("I", (1, 1), 70_000), image.new("I", (1, 1), -1)):
        with pytest.raises(OutputError, match=r"output\[0\] is an image of mode .*convert\('RGB'\)"):
            encode([given_], Marks())


def test_what_is_not_loaded_is_not_imported() -> None:
    code = (
        "import sys; from cog.signature.encode import encode; encode({'a': [object(), 1]}[\"a\"][1:], str);"
        "from cog.signature.outputs import output_kind; output_kind(list[int]);"
        "print([name for name in ('numpy', 'torch', 'PIL') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


class Bag(dict[str, object]):
    pass


def test_files_stand_anywhere() -> None:
    marks = Marks()
    path, opened = cog.Path("/x/a.png"), io.StringIO("text")
    value = {
        "list": [path, opened],
        "bag": Bag(p=pathlib.Path("/x/b")),
        "model": Model("t", [cog.Path("/x/c")]),
        "data": Data(datetime.date(2024, 1, 2), path),
        "generator": (cog.Path(name) for name in "yz"),
    }
    assert json.loads(encode(value, marks)) == {
        "list": ["mark-1", "mark-2"],
        "bag": {"p": "mark-3"},
        "model": {"text": "t", "files": ["mark-4"]},
        "data": {"when": "2024-01-02", "inner": "mark-5"},
        "generator": ["mark-6", "mark-7"],
    }
    assert marks.seen == [
        path,
        opened,
        pathlib.Path("/x/b"),
        cog.Path("/x/c"),
        path,
        cog.Path("y"),
        cog.Path("z"),
    ]
    assert encode(path, marks) == b'"mark-8"'


def test_a_temporary_file_is_a_file() -> None:
    marks = Marks()
    with tempfile.NamedTemporaryFile() as wrapper:
        assert encode([wrapper], marks) == b'["mark-1"]'
        assert marks.seen == [wrapper.file]


def test_a_url_path_is_fetched_first() -> None:
    marks = Marks()
    path = cog.Path.validate("data:text/plain,hi")
    encode(path, marks)
    assert isinstance(marks.seen[0], cog.Path)
    assert marks.seen[0].read_text() == "hi"
    path.unlink()


def test_the_slow_walk_secures_nothing_twice() -> None:
    marks = Marks()
    path = cog.Path("/a")
    value = [(item for item in (path, path)), path, {Colour.RED: path}]  # the key needs the slow walk
    assert json.loads(encode(value, marks)) == [["mark-1", "mark-2"], "mark-3", {"red": "mark-4"}]
    assert marks.seen == [path] * 4


class Plain:
    pass


async def late() -> AsyncIterator[int]:
    yield 1


CIRCLE: list[object] = []
CIRCLE.append({"a": CIRCLE})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "output is NaN"),
        ({"scores": [1, 2, 3, float("nan")]}, "output.scores[3] is NaN"),
        ({"a b": [float("-inf")]}, "output['a b'][0] is infinite"),
        ({float("nan"): 1}, "output is NaN"),
        (
            {"a": Plain()},
            f"output.a is an object of class {__name__}.Plain that cannot be turned into JSON. Return",
        ),
        (Plain, f"output is the class {__name__}.Plain itself"),
        ([{(1, 2): 3}], "output[0] has the key (1, 2), a tuple"),
        ({Plain(): 1}, "has the key"),
        (CIRCLE, "output[0].a refers to"),
        ([0, 10**5000], "output[1] is an integer with more digits"),
        (1j, "output is an object of class complex"),
        (late(), "async generator"),
        ((i for i in [1, Plain()]), "output[1] is an object"),
        (Data(datetime.date(2024, 1, 1), [Plain()]), "output.inner[0] is an object"),
    ],
)
def test_what_cannot_be_encoded_is_named(value: object, words: str) -> None:
    with pytest.raises(OutputError) as caught:
        encode(value, refuse)
    assert words in str(caught.value)


def test_a_coroutine_was_not_awaited() -> None:
    async def one() -> int:
        return 1

    coroutine = one()
    with pytest.raises(OutputError, match="await"):
        encode({"a": coroutine}, refuse)
    assert asyncio.run(coroutine) == 1


def test_hints() -> None:
    class Image:
        def save(self) -> None: ...

    class Tensor:
        def tolist(self) -> None: ...

    with pytest.raises(OutputError, match=r"cog\.Path"):
        encode(Image(), refuse)
    with pytest.raises(OutputError, match="tolist"):
        encode(Tensor(), refuse)


def test_too_deep() -> None:
    value: object = 1
    for _ in range(200_000):
        value = [value]
    with pytest.raises(OutputError, match="too deeply"):
        encode(value, refuse)

    class Endless:
        def model_dump(self) -> object:
            return Endless()

    with pytest.raises(OutputError, match="too deeply"):
        encode(Endless(), refuse)
    for _ in range(200_000):  # taken apart by hand: older Pythons do that by recursion
        assert isinstance(value, list)
        value = value.pop()


def test_depth_as_clients_send_it_is_fine() -> None:
    value: object = 1
    for _ in range(300):
        value = {"a": [value]}
    assert plain(value) == value


@pytest.mark.parametrize(
    "error", [ValueError("mine"), TypeError("mine"), KeyboardInterrupt(), StopAsyncIteration()]
)
def test_the_models_own_errors_rise(error: BaseException) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(type(error)) as caught:
        encode([broken()], refuse)
    assert caught.value is error


def test_a_file_that_cannot_be_secured() -> None:
    def secure(value: object) -> str:
        raise OutputError(f"{value} does not exist")

    with pytest.raises(OutputError, match="/a does not exist"):
        encode({"x": cog.Path("/a")}, secure)


def test_pydantic() -> None:
    pydantic = pytest.importorskip("pydantic")
    inner = pydantic.create_model(
        "Inner", path=(cog.Path, ...), secret=(pydantic.SecretStr, pydantic.SecretStr("x"))
    )
    outer = pydantic.create_model("Outer", items=(list[inner], ...))  # type: ignore[valid-type]
    marks = Marks()
    text = encode(outer(items=[inner(path="/a")]), marks)
    assert json.loads(text) == {"items": [{"path": "mark-1", "secret": "**********"}]}
    assert marks.seen == [cog.Path("/a")]
