from __future__ import annotations

import functools
import pathlib
import sys
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import cog
from cog.signature.entry import Entry
from cog.signature.facts import Default, Parameter, Result, Signature
from cog.signature.inspect import read
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
    Choice,
    File,
    Formatted,
    Integer,
    Kind,
    Mapping,
    Member,
    Null,
    Nullable,
    Number,
    Record,
    SecretText,
    Text,
    Tuple,
    Union,
)
from cog.signature.load import load

Make = Callable[[str], Any]

PREAMBLE = """
import collections, decimal, io, os, pathlib, enum, datetime, dataclasses, functools, uuid
import collections.abc as abc
from typing import *
from typing import TYPE_CHECKING
import cog
from cog import *
class Mode(str, enum.Enum):
    FAST = "fast"
    SLOW = "slow"
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
if TYPE_CHECKING:
    from decimal import Decimal
"""
SINGLE = Union((Boolean(), Integer(), Number(), Text(), Null()))


@pytest.fixture(params=["", "from __future__ import annotations\n"], ids=["plain", "future"])
def make(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """The module made of some source, with and without annotations that are evaluated late."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    def module(source: str) -> Any:
        source = PREAMBLE + source if "def " in source else PREAMBLE + f"def run({source}): ...\n"
        (tmp_path / "model_under_test.py").write_text(request.param + source)
        load(f"model_under_test.py:{'Runner' if 'class Runner' in source else 'run'}", tmp_path)
        return sys.modules["model_under_test"]

    yield module
    sys.modules.pop("model_under_test", None)


def only(entry: Entry) -> Parameter:
    (parameter,) = entry.signature.parameters
    return parameter


INPUTS: list[tuple[str, Kind]] = [
    ("str", Text()),
    ("int", Integer()),
    ("float", Number()),
    ("bool", Boolean()),
    ("Any", Anything()),
    ("cog.Path", File("path")),
    ("pathlib.Path", File("path")),
    ("os.PathLike", File("path")),
    ("os.PathLike[str]", File("path")),
    ("File", File("file")),
    ("Secret", SecretText()),
    ("list", Array(Anything())),
    ("List", Array(Anything())),
    ("list[str]", Array(Text())),
    ("List[int]", Array(Integer())),
    ("list[cog.Path]", Array(File("path"))),
    ("list[Secret]", Array(SecretText())),
    ("list[dict]", Array(Mapping(None))),
    ("Optional[int]", Nullable(Integer())),
    ("Optional[list[float]]", Nullable(Array(Number()))),
    ("str | None", Nullable(Text())),
    ("None | cog.Path", Nullable(File("path"))),
    ("str | int", Union((Text(), Integer()))),
    ("Union[str, list[int], None]", Nullable(Union((Text(), Array(Integer()))))),
    ("Union[str, dict]", Union((Text(), Mapping(None)))),
    ("dict", Mapping(None)),
    ("Dict", Mapping(None)),
    ("Dict[str, int]", Mapping(None)),
    ("dict[str, Any]", Mapping(None)),
    ('Literal["a", 2]', Choice(("a", 2))),
    ('Optional[Literal["a"]]', Nullable(Choice(("a",)))),
    ('Literal["a", None]', Nullable(Choice(("a",)))),
    ("Annotated[object, Opaque]", Mapping(None)),
    ("Annotated[list[datetime.date], Opaque]", Array(Mapping(None))),
    ("Annotated[Optional[datetime.date], Opaque]", Nullable(Mapping(None))),
    ("Optional[Annotated[object, Opaque]]", Nullable(Mapping(None))),
    ('Annotated[int, "a note"]', Integer()),
    ('TypedDict("T", {"a": int})', Record("T", (Member("a", Integer(), True),), kept=True)),
    ('TypedDict("T", {"a": decimal.Context})', Record("T", (Member("a", Anything(), True),), kept=True)),
    ("list[list[int]]", Array(Array(Integer()))),
    ("list[Optional[int]]", Array(Nullable(Integer()))),
    ("list[None]", Array(Null())),
    ("Sequence[str]", Array(Text())),
    ("abc.Iterable[str]", Array(Text())),
    ("abc.Mapping[str, int]", Mapping(None)),
    ("Literal[True, 1, 0.5]", Choice((True, 1, 0.5))),
    ("Literal[Mode.FAST]", Choice(("fast",))),
    ("Mode", Choice(("fast", "slow"))),
    ("Optional[Level]", Nullable(Choice((1, 2)))),
    ("tuple", Array(Anything(), "tuple")),
    ("Tuple", Array(Anything(), "tuple")),
    ("tuple[int, str]", Tuple((Integer(), Text()))),
    ("tuple[int, ...]", Array(Integer(), "tuple")),
    ("tuple[()]", Tuple(())),
    ("Tuple[()]", Tuple(())),
    ('NamedTuple("P", [("x", int), ("y", str)])', Tuple((Integer(), Text()), 2)),
    ("set[int]", Array(Integer(), "set")),
    ("set", Array(SINGLE, "set")),
    ("FrozenSet[tuple[int, Any]]", Array(Tuple((Integer(), SINGLE)), "frozenset")),
    ("abc.Set[str]", Array(Text(), "set")),
    ("datetime.date", Formatted("date")),
    ("datetime.datetime", Formatted("date-time")),
    ("datetime.time", Formatted("time")),
    ("datetime.timedelta", Formatted("duration")),
    ("decimal.Decimal", Formatted("decimal")),
    ("uuid.UUID", Formatted("uuid")),
    ("bytes", File("bytes")),
    ("object", Anything()),
    ("Path | str", Union((File("path"), Text()))),
    ("Secret | None | int", Nullable(Union((SecretText(), Integer())))),
    ('TypeVar("T")', Anything()),
    ('NewType("N", str)', Text()),
]


@pytest.mark.parametrize(("annotation", "kind"), INPUTS)
def test_annotations_of_inputs(make: Make, annotation: str, kind: Kind) -> None:
    assert only(read(make(f"a: {annotation}").run)).kind == kind


OUTPUTS: list[tuple[str, Result]] = [
    ("str", Result(Text())),
    ("None", Result(Null())),
    ("Any", Result(Anything())),
    ("Optional[str]", Result(Nullable(Text()))),
    ("str | int", Result(Union((Text(), Integer())))),
    ("cog.Path", Result(File("path"))),
    ("list[cog.Path]", Result(Array(File("path")))),
    ("list[list[list[float]]]", Result(Array(Array(Array(Number()))))),
    ("List[Optional[str]]", Result(Array(Nullable(Text())))),
    ("dict", Result(Mapping(None))),
    ("dict[str, list[int]]", Result(Mapping(Array(Integer())))),
    ("Dict[str, Any]", Result(Mapping(Anything()))),
    ("tuple", Result(Array(Anything(), "tuple"))),
    ("tuple[int, str]", Result(Tuple((Integer(), Text())))),
    ("set[int]", Result(Array(Integer(), "set"))),
    ("set[dict]", Result(Array(Mapping(None), "set"))),
    ("range", Result(Array(Anything()))),
    ("abc.Mapping[str, int]", Result(Mapping(Integer()))),
    ("collections.OrderedDict[str, int]", Result(Mapping(Integer()))),
    ("datetime.datetime", Result(Formatted("date-time"))),
    ("bytes", Result(File("bytes"))),
    ("io.BytesIO", Result(File("file"))),
    ("Optional[cog.Path | dict[str, cog.Path]]", Result(Nullable(Union((File(), Mapping(File())))))),
    ("Iterator[str]", Result(Text(), iterator=True)),
    ("Generator[int, None, None]", Result(Integer(), iterator=True)),
    ("abc.Iterator[cog.Path]", Result(File("path"), iterator=True)),
    ("Iterator", Result(Anything(), iterator=True)),
    ("ConcatenateIterator[str]", Result(Text(), iterator=True, concatenate=True)),
    ("ConcatenateIterator", Result(Text(), iterator=True, concatenate=True)),
    ("AsyncIterator[str]", Result(Text(), iterator=True)),
    ("AsyncGenerator[str, None]", Result(Text(), iterator=True)),
    ("AsyncConcatenateIterator[str]", Result(Text(), iterator=True, concatenate=True)),
    ("Annotated[object, Opaque]", Result(Mapping(None))),
    ("Secret", Result(SecretText())),
]


@pytest.mark.parametrize(("annotation", "result"), OUTPUTS)
def test_annotations_of_outputs(make: Make, annotation: str, result: Result) -> None:
    assert read(make(f"def run() -> {annotation}: ...\n").run).signature.result == result


def test_a_missing_return_annotation_says_nothing(make: Make) -> None:
    assert read(make("def run(): ...\n").run).signature.result == Result(Anything())


MEMBERS = "    a: str\n    b: Optional[int]\n    c: Optional[list[float]] = None\n"
OUT = Record(
    "Out",
    (
        Member("a", Text(), True),
        Member("b", Nullable(Integer()), False),
        Member("c", Nullable(Array(Number())), False),
    ),
)


@pytest.mark.parametrize(
    "source",
    [
        "class Out(BaseModel):\n" + MEMBERS,
        "class Out(BaseModel, auto_dataclass=False):\n" + MEMBERS,
        "@dataclasses.dataclass\nclass Out:\n" + MEMBERS,
        "import pydantic\nclass Out(pydantic.BaseModel):\n" + MEMBERS,
        "import pydantic.v1\nclass Out(pydantic.v1.BaseModel):\n" + MEMBERS,
        'Out = TypedDict("Out", {"a": str, "b": Optional[int], "c": Optional[list[float]]}, total=False)\n',
    ],
    ids=["BaseModel", "bare", "dataclass", "pydantic", "pydantic v1", "TypedDict"],
)
def test_records(make: Make, source: str) -> None:
    if "pydantic" in source:
        pytest.importorskip("pydantic")
    if "pydantic.v1" in source and sys.version_info >= (3, 14):
        pytest.skip("pydantic 1 does not run here")
    module = make(source + "def run() -> list[Out]: ...\n")
    kind = read(module.run).signature.result.kind
    assert isinstance(kind, Array)
    assert isinstance(kind.items, Record)
    if "TypedDict" in source:
        assert [member.required for member in kind.items.members] == [False] * 3
        assert [member.kind for member in kind.items.members] == [member.kind for member in OUT.members]
    else:
        assert kind.items == OUT
    assert kind.items.python is module.Out


def test_a_record_in_itself_is_an_open_object(make: Make) -> None:
    module = make(
        "class Leaf(BaseModel):\n    v: int\n"
        "class Tree(BaseModel):\n    left: 'Optional[Tree]'\n    leaf: Leaf\ndef run() -> Tree: ...\n"
    )
    leaf = Record("Leaf", (Member("v", Integer(), True),))
    assert read(module.run).signature.result.kind == Record(
        "Tree", (Member("left", Nullable(Mapping(None)), False), Member("leaf", leaf, True))
    )


DEFAULTS: list[tuple[str, Parameter]] = [
    ("a: int", Parameter("a", Integer())),
    ("a: int = 5", Parameter("a", Integer(), Default(5))),
    ("a: int = Input()", Parameter("a", Integer())),
    ("a: int = Input(5)", Parameter("a", Integer(), Default(5))),
    ("a: int = None", Parameter("a", Nullable(Integer()), Default(None))),
    ("a: int = Input(default=None)", Parameter("a", Nullable(Integer()), Default(None))),
    ("a: Optional[int]", Parameter("a", Nullable(Integer()), Default(None))),
    ("a: Optional[int] = Input(ge=1)", Parameter("a", Nullable(Integer()), Default(None), ge=1)),
    ("a: Union[int, str, None]", Parameter("a", Nullable(Union((Integer(), Text()))))),
    ("a: Union[int, str, None] = None", Parameter("a", Nullable(Union((Integer(), Text()))), Default(None))),
    ("a: Any = None", Parameter("a", Anything(), Default(None))),
    ("a: float = 1", Parameter("a", Number(), Default(1))),
    ("a: float = float('inf')", Parameter("a", Number(), opaque_default=True)),
    ("a: list[int] = (1, 2)", Parameter("a", Array(Integer()), Default([1, 2]))),
    ("a: cog.Path = 'x.png'", Parameter("a", File("path"), Default("x.png"))),
    ("a: cog.Path = 'https://h/x.png'", Parameter("a", File("path"), Default("https://h/x.png"))),
    ("a: cog.Path = Input(pathlib.Path('x'))", Parameter("a", File("path"), opaque_default=True)),
    ("a: Secret = 'x'", Parameter("a", SecretText(), Default("x"))),
    ("a: Secret = Secret('x')", Parameter("a", SecretText(), opaque_default=True)),
    ("a: dict = {1: 2}", Parameter("a", Mapping(None), opaque_default=True)),
    (
        "a: str = Input('b', description='d', min_length=1, max_length=9, regex='[bc]', choices=['b', 'c'])",
        Parameter("a", Text(), Default("b"), description="d", min_length=1, max_length=9, regex="[bc]",
                  choices=("b", "c")),
    ),
    ("a: int = Input(choices={1: 0, 2: 0}.keys())", Parameter("a", Integer(), choices=(1, 2))),
    ("a: list[str] = Input(['x'], choices=['x', 'y'])",
     Parameter("a", Array(Text()), Default(["x"]), choices=("x", "y"))),
    ("a: cog.Path = Input(accept='image/*', deprecated=True)",
     Parameter("a", File("path"), accept="image/*", deprecated=True)),
]  # fmt: skip


@pytest.mark.parametrize(("source", "parameter"), DEFAULTS)
def test_defaults_and_inputs(make: Make, source: str, parameter: Parameter) -> None:
    assert only(read(make(source).run)) == parameter


def test_arguments_of_a_call(make: Make) -> None:
    source = (
        "need: int = Input(), n: int = 3, p: cog.Path = pathlib.Path('/a'), q: cog.Path = '/b', "
        "s: Secret = 'x', t: Secret = Secret('y'), l: list[int] = Input([1]), d: dict = {'a': [1]}, "
        "o: Optional[str] = Input(), f: float = 2"
    )
    entry = read(make(source).run)
    made = entry.arguments({"need": 2.0, "unknown": 1, "o": "text"})
    assert made == {
        "need": 2, "n": 3, "p": cog.Path("/a"), "q": cog.Path("/b"), "s": cog.Secret("x"),
        "t": cog.Secret("y"), "l": [1], "d": {"a": [1]}, "o": "text", "f": 2.0,
    }  # fmt: skip
    assert [type(made[name]) for name in ("need", "p", "q", "f")] == [int, cog.Path, cog.Path, float]
    made["l"].append(2)  # type: ignore[attr-defined]
    made["d"]["a"].append(2)  # type: ignore[index]
    again = entry.arguments({"need": 1})
    assert (again["l"], again["d"], again["o"]) == ([1], {"a": [1]}, None)
    assert "need" not in entry.arguments({})


def test_inputs_are_replaced_by_their_defaults_and_can_be_read_again(make: Make) -> None:
    run = make("a: int = Input(), b: int = Input(5, ge=1), c: int = 7").run
    first = read(run)
    assert run.__defaults__ == (None, 5, 7)
    assert read(run).signature == first.signature


CLASS = """
class Output(BaseModel):
    text: str

class Runner(BaseRunner):
    class Inner(BaseModel):
        n: int

    def setup(self, weights: cog.Path | None = None) -> None: ...

    @streaming
    async def run(self, a: str) -> AsyncIterator[Inner]:
        yield self.Inner(1)

    def healthcheck(self) -> bool:
        return True
"""


def test_a_class(make: Make) -> None:
    entry = read(make(CLASS).Runner)
    assert (entry.function, entry.has_setup, entry.setup_takes_weights) == ("run", True, True)
    inner = Record("Inner", (Member("n", Integer(), True),))
    assert entry.signature == Signature(
        (Parameter("a", Text()),),
        Result(inner, iterator=True),
        style="async generator",
        streaming=True,
        healthcheck=True,
    )


def test_a_class_without_base_and_an_old_one(make: Make) -> None:
    entry = read(make("class Runner:\n    def run(self, a: str) -> str: ...\n").Runner)
    assert (entry.function, entry.has_setup, entry.setup_takes_weights) == ("run", False, False)
    source = (
        "class Base(BasePredictor):\n    def setup(self): ...\n    def predict(self, a: str) -> str: ...\n"
    )
    entry = read(make(source + "class Runner(Base): ...\n").Runner)
    assert (entry.function, entry.has_setup, entry.setup_takes_weights) == ("predict", True, False)
    assert only(entry).name == "a"


STYLES = [
    ("def run(a: str) -> str: ...", "function", False),
    ("def run(a: str) -> Iterator[str]:\n    yield a", "generator", True),
    ("def run(a: str):\n    yield a", "generator", True),
    ("def run(a: str) -> str:\n    yield a", "generator", True),
    ("def run(a: str) -> Iterator[str]:\n    return iter(a)", "generator", True),
    ("async def run(a: str) -> str: ...", "coroutine", False),
    ("async def run(a: str) -> AsyncIterator[str]:\n    yield a", "async generator", True),
]


@pytest.mark.parametrize(("source", "style", "iterates"), STYLES)
@pytest.mark.parametrize("wrap", ["", "wraps", "partial", "object", "static", "class"])
def test_styles(make: Make, source: str, style: str, iterates: bool, wrap: str) -> None:
    module = make(source + "\n")
    target: Any = module.run
    if wrap == "wraps":

        @functools.wraps(module.run)
        def target(*args: object, **kwargs: object) -> object:
            return module.run(*args, **kwargs)
    elif wrap == "partial":
        target = functools.partial(module.run)
    elif wrap == "object":
        inner = module.run

        class Model:
            async def agen(self) -> AsyncIterator[int]:
                yield 1

        namespace: dict[str, Any] = dict(vars(module))
        exec(
            "class Model:\n    " + source.replace("run(", "__call__(self, ").replace("\n", "\n    "),
            namespace,
        )
        target = namespace["Model"]()
        assert inner is module.run
    elif wrap == "static":
        target = type("Model", (), {"run": staticmethod(module.run)})
    elif wrap == "class":
        namespace = dict(vars(module))
        text = "class Model:\n    @classmethod\n    " + source.replace("run(", "run(cls, ").replace(
            "\n", "\n    "
        )
        exec(text, namespace)
        target = namespace["Model"]
    entry = read(target)
    assert (entry.signature.style, entry.signature.result.iterator) == (style, iterates)
    assert only(entry) == Parameter("a", Text())


def test_a_partial_keeps_only_what_is_open(make: Make) -> None:
    run = make("a: str, b: int, c: float = 2").run
    entry = read(functools.partial(run, "x", b=3))
    assert [p.name for p in entry.signature.parameters] == ["b", "c"]
    assert entry.arguments({"c": 1}) == {"b": 3, "c": 1.0}


def test_a_mark_survives_a_wrapper(make: Make) -> None:
    run = make("@concurrent(max=3)\nasync def run(a: str) -> str: ...\n").run
    assert read(run).signature.max_concurrency == 3
    assert read(functools.partial(run)).signature.max_concurrency == 3


def test_type_hints_module_is_untouched(make: Make) -> None:
    module: ModuleType = make("a: 'str'")
    assert only(read(module.run)).kind == Text()
    assert typing.get_type_hints(module.run) == {"a": str}
