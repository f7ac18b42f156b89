from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cog.errors import SignatureError
from cog.signature.inspect import read
from cog.signature.load import load

Errors = Callable[[str], list[str]]

PREAMBLE = """from __future__ import annotations
from typing import *; import collections, dataclasses, datetime, decimal, enum, io, functools
import cog; from cog import *
class Kind(enum.Enum): A = "a"
class Out(BaseModel):
    a: str
class Odd(enum.Enum): A = object()
@dataclasses.dataclass
class Odd2:
    c: decimal.Context
@dataclasses.dataclass
class Held:
    inner: Odd2
if TYPE_CHECKING:
    from decimal import Decimal
"""
FIRST = PREAMBLE.count("\n") + 1


@pytest.fixture
def errors(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Errors]:
    """The lines of the report on some source."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    def report(source: str) -> list[str]:
        (tmp_path / "faulty.py").write_text(PREAMBLE + source)
        target: Any = load(f"faulty.py:{'Runner' if 'class Runner' in source else 'run'}", tmp_path)
        with pytest.raises(SignatureError) as caught:
            read(target)
        return str(caught.value).splitlines()

    yield report
    sys.modules.pop("faulty", None)


def test_every_error_is_named_with_its_line(errors: Errors) -> None:
    lines = errors(
        "class Runner(BaseRunner):\n"
        "    def setup(self, path: str): ...\n"
        "    @streaming\n"
        "    def run(\n"
        "        self,\n"
        "        x,\n"
        "        y: decimal.Context,\n"
        "        z: int = Input(5, le=3),\n"
        "        **rest: str,\n"
        "    ) -> decimal.Context: ...\n"
    )
    assert [line.partition(": ")[0] for line in lines] == [
        f"faulty.py:{FIRST + offset}" for offset in (5, 6, 7, 8, 3, 1, 3)
    ]
    assert lines[0] == (
        f'faulty.py:{FIRST + 5}: parameter "x" of Runner.run has no type annotation. '
        "Write one, for example: x: str."
    )
    for line, words in zip(
        lines,
        [
            "no type",
            "Context cannot be an input",
            "maximum of 3",
            "**rest",
            "return annotation",
            "only weights",
            "@streaming",
        ],
        strict=True,
    ):
        assert words in line


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("x", "has no type annotation"),
        ("*args: int", "(*args)"),
        ("**more: int", "(**more)"),
        ("*, x: int", "keyword-only"),
        ("x: int, /", "positional-only"),
        ("x: set[list[int]]", "Write list[...]"),
        ("x: frozenset[tuple[dict, int]]", "Write list[...]"),
        ("x: set[Out]", "Write list[...]"),
        ("x: collections.OrderedDict", "Write dict"),
        ("x: Odd", "values of an Enum"),
        ("x: bytearray", "Write bytes"),
        ("x: io.BytesIO", "Write bytes"),
        ("x: decimal.Context", "Annotated[Context, Opaque]"),
        ("x: None", "Write the type of the value"),
        ("x: list[decimal.Context]", "the type Context cannot"),
        ("x: tuple[int, decimal.Context]", "the type Context cannot"),
        ("x: Held", "in Held.inner: in Odd2.c"),
        ("x: Iterator[str]", "cannot be an input"),
        ("x: Literal[b'x']", "numbers and booleans"),
        ("x: Decimal", "TYPE_CHECKING"),
        ("x: Unheard", "cannot be evaluated"),
        ("x: 'in valid'", "cannot be evaluated"),
        ("x: decimal.Nothing", "cannot be evaluated"),
        ("x: int = 1.5", "default"),
        ("x: int = True", "default"),
        ("x: str = 5", "default"),
        ("x: list[int] = ['a']", "default"),
        ("x: Optional[list[int]] = [1, 'a']", "item 1"),
        ("x: int = Input(11, le=10)", "maximum of 10"),
        ("x: int = Input(0, ge=1)", "minimum of 1"),
        ("x: str = Input('', min_length=1)", "shorter"),
        ("x: str = Input('abc', max_length=1)", "longer"),
        ("x: str = Input('abc', regex='^b')", "does not match"),
        ("x: str = Input('c', choices=['a', 'b'])", "not one of"),
        ("x: Literal['a'] = 'b'", "default"),
        ("x: Kind = 'b'", "default"),
        ("x: Out = {'b': 1}", "default"),
        ("x: tuple[int, int] = (1, 2, 3)", "3 items"),
        ("x: tuple[int, str] = (1, 2)", "item 1"),
        ("x: datetime.date = '2026-02-30'", "no date"),
        ("x: str = Input(choices=['a', 'a'])", "twice"),
        ("x: str = Input(choices=[])", "empty"),
        ("x: str = Input(choices='ab')", "one text"),
        ("x: str = Input(choices=[1, 2])", "of the type str"),
        ("x: int = Input(choices=['a'])", "of the type int"),
        ("x: int = Input(choices=[1.5])", "strings or integers"),
        ("x: int = Input(choices=[True])", "strings or integers"),
        ("x: float = Input(choices=[1, 2])", "only str and int"),
        ("x: str | int = Input(choices=[1, 2])", "only str and int"),
        ("x: int = Input(choices=[1, 20], le=10)", "choice 20"),
        ("x: str = Input(ge=3)", "limit numbers"),
        ("x: bool = Input(ge=0)", "limit numbers"),
        ("x: int | str = Input(le=0)", "limit numbers"),
        ("x: int = Input(ge='3')", "no number"),
        ("x: int = Input(le=float('nan'))", "no number"),
        ("x: int = Input(ge=5, le=3)", "no value fits"),
        ("x: int = Input(min_length=3)", "limit text"),
        ("x: int = Input(regex='a')", "limit text"),
        ("x: str = Input(min_length=-1)", "0 or more"),
        ("x: str = Input(max_length=1.5)", "0 or more"),
        ("x: str = Input(min_length=5, max_length=3)", "no text fits"),
        ("x: str = Input(regex='(')", "cannot compile"),
        ("x: str = Input(regex=5)", "as a str"),
        ("x: str = Input(accept='image/*')", "only files"),
    ],
)
def test_parameters(errors: Errors, parameters: str, words: str) -> None:
    (line,) = errors(f"def run({parameters}) -> str: ...\n")
    assert words in line
    assert line.startswith(f"faulty.py:{FIRST}: parameter ")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def run() -> list[Iterator[str]]: ...", "whole output"),
        ("def run() -> ConcatenateIterator[int]: ...", "joins text only"),
        ("def run() -> decimal.Context: ...", "Annotated[Context, Opaque]"),
        ("def run() -> Unheard: ...", "cannot be evaluated"),
        ("class Bad(BaseModel):\n    c: decimal.Context\ndef run() -> list[Bad]: ...", "in Bad.c"),
        ("class Bad(BaseModel):\n    c: Decimal\ndef run() -> Bad: ...", "TYPE_CHECKING"),
        ("@streaming\ndef run() -> str: ...", "does not yield"),
        ("async def run() -> AsyncIterator[str]: ...", "does not yield"),
        ("class Runner:\n    def run() -> str: ...", "no self"),
        ("class Runner:\n    def setup(self, *a): ...\n    def run(self) -> str: ...", "only weights"),
        (
            "class Runner:\n    def setup(self, *, weights): ...\n    def run(self) -> str: ...",
            "only weights",
        ),
    ],
)
def test_functions_and_classes(errors: Errors, source: str, words: str) -> None:
    (line,) = errors(source + "\n")
    assert words in line
    assert line.startswith("faulty.py:")


def test_a_secret_is_not_shown(errors: Errors) -> None:
    (line,) = errors("def run(x: Secret = 12345678) -> str: ...\n")
    assert "12345678" not in line


def test_both_and_none() -> None:
    class Both:
        def run(self) -> None: ...

        def predict(self) -> None: ...

    with pytest.raises(SignatureError, match="not both"):
        read(Both)
    with pytest.raises(SignatureError, match="method not found: Empty"):
        read(type("Empty", (), {}))


def test_source_that_cannot_be_found() -> None:
    namespace: dict[str, Any] = {"__name__": "made"}
    exec("def run(x): ...", namespace)
    with pytest.raises(SignatureError, match='<string>:1: parameter "x" of run'):
        read(namespace["run"])


def test_a_builtin_is_read_as_far_as_it_goes() -> None:
    with pytest.raises(SignatureError, match="parameter"):
        read(sorted)
