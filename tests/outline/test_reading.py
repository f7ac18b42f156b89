"""Reading a model's source: all of it where that is possible, and never more than the model itself says."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cog.client.input_checks import problems
from cog.client.inputs import live_properties
from cog.errors import OutlineError
from cog.outline.facts import Outline
from cog.outline.reading import read
from cog.schema.openapi import document
from cog.signature.facts import Signature
from cog.signature.rules import check_input
from support import models
from support.sources import ODD, PLAIN, both

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/run.py"))
# What our document says of an input beside what it accepts.
_BESIDE = ("title", "x-order", "default", "description", "deprecated", "x-cog-accept")
VALUES: list[object] = [
    None, True, False, 0, 1, 2, 3, 7, -1, 30, 51, 2.0, 0.5, 1e300, 10**400, "", "a", "b", "x", "plain", "high", "a b", "null",
    "5", "x" * 60, "https://example.com/a.png", "data:,x", "photo.jpg", [], [1], ["a"], ["low", 3], [None], [[1]], {},
    {"a": 1}, [{"x": 1}], [1, 2.0], 256, 1024, "2026-01-31",
    ["a", "a"], [["a"], 1],
]  # fmt: skip


def write(folder: Path, source: str) -> Path:
    (folder / "run.py").write_text(source, encoding="utf-8")
    return folder


def accepted(schema: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in schema.items() if key not in _BESIDE}


def assert_never_more(outline: Outline, signature: Signature, values: list[object]) -> None:
    names = {parameter.name: parameter for parameter in signature.parameters}
    if outline.complete:
        assert {parameter.name for parameter in outline.parameters} == set(names)
    for parameter in outline.parameters:
        live = names.get(parameter.name)
        if parameter.required is not None and live is not None:
            assert parameter.required == live.required, parameter.name
        if parameter.required:
            assert live is not None, parameter.name
        for value in values:
            for local in (False, True):
                if any(problems(parameter.schema, value, local_files=local)):
                    at = [
                        each.loc[2]
                        for each in check_input(signature, {parameter.name: value}, local_files=local)
                    ]
                    assert parameter.name in at, (parameter, value)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_model_is_known_wholly(name: str, tmp_path: Path) -> None:
    outline, signature = both(tmp_path, PLAIN[name])
    properties, required = live_properties(document(signature))
    assert outline.complete
    assert list(outline.properties) == list(properties)
    assert outline.required == required
    for key, schema in properties.items():
        # a choice stands in a component of its own in the document
        mine, its = accepted(outline.properties[key]), accepted(schema)
        if "enum" in its:
            assert mine.pop("enum") == its.pop("enum"), key
        if isinstance(its.get("items"), dict):
            mine["items"], its["items"] = accepted(dict(mine["items"])), accepted(dict(its["items"]))  # type: ignore[call-overload]
        assert mine == its, key
    for mine_too, fact in zip(outline.parameters, signature.parameters, strict=True):
        assert mine_too.description == fact.description
        assert mine_too.deprecated == fact.deprecated
        assert mine_too.accept == fact.accept
    assert_never_more(outline, signature, VALUES)


@pytest.mark.parametrize("name", ODD)
def test_never_more_than_the_model_says(name: str, tmp_path: Path) -> None:
    outline, signature = both(tmp_path, ODD[name])
    assert_never_more(outline, signature, VALUES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_are_known_wholly(path: Path) -> None:
    outline = read(path.parent, "run.py:Runner")
    assert outline.complete
    assert outline.output
    for parameter in outline.parameters:
        assert parameter.schema
        assert parameter.required is not None


@pytest.mark.parametrize("source", [models.SYNC, models.ASYNC])
def test_the_models_of_the_tests(source: str, tmp_path: Path) -> None:
    outline, signature = both(tmp_path, source)
    assert outline.complete
    assert outline.required == ("code",)
    assert_never_more(outline, signature, VALUES)


_TYPES = st.recursive(
    st.sampled_from(["str", "int", "float", "bool", "dict", "list", "Path", "Secret", "Any", "File", "Nobody", "Alias",
                     '"str"', "Literal['a', 1]", "tuple", "None", "bytes", "set", "date", "Mode", "Literal[True]", "tuple[()]"]),
    lambda inner: st.one_of(
        inner.map(lambda each: f"Optional[{each}]"),
        inner.map(lambda each: f"list[{each}]"),
        inner.map(lambda each: f"Annotated[{each}, Opaque]"),
        st.tuples(inner, inner).map(lambda pair: f"Union[{pair[0]}, {pair[1]}]"),
        inner.map(lambda each: f"dict[str, {each}]"),
        inner.map(lambda each: f"tuple[{each}, ...]"),
        inner.map(lambda each: f"frozenset[{each}]"),
        inner.map(lambda each: f"Sequence[{each}]"),
        st.tuples(inner, inner).map(lambda pair: f"tuple[{pair[0]}, {pair[1]}]"),
    ),
    max_leaves=4,
)  # fmt: skip
_DEFAULTS = st.sampled_from(
    ["", " = None", " = 1", " = 'a'", " = Input()", " = Input(default=None)", " = Input(description='d', ge=1)",
     " = Input(default=2, le=LIMIT)", " = Input(choices=['a', 'b'])", " = Input(choices=MANY)", " = hidden()",
     " = Input(max_length=2)", " = Input(default=hidden())", " = Input(regex='^a')", " = []", " = Input(min_length=1, **{})"]
)  # fmt: skip
_HEAD = """
import enum
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, Optional, Union
from cog import File, Input, Opaque, Path, Secret
Nobody = {}
class Mode(enum.Enum):
    A = "a"
    TWO = 2
Alias = Optional[list[str]]
Alias = Alias
LIMIT = 5
MANY = ["a"] + ["x"]
def hidden(): return None
class Runner:
    def run(self, x: {}{}) -> str: ...
"""


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    annotation=_TYPES, default=_DEFAULTS, hidden=st.sampled_from(["str", "Optional[int]", "list[str]", "Any"])
)
def test_never_more_whatever_the_parameter(
    annotation: str, default: str, hidden: str, tmp_path: Path
) -> None:
    source = _HEAD.format(f"(lambda: {hidden})()", annotation, default)
    try:
        outline, signature = both(tmp_path, source)
    except OutlineError:
        raise
    except Exception:  # a model that cannot be loaded accepts nothing
        return
    assert_never_more(outline, signature, VALUES)


def test_it_is_quick(tmp_path: Path) -> None:
    source = textwrap.dedent(PLAIN["every rule"]) + "\n".join(
        f"VALUE_{n} = [{n}, {n} + 1]" for n in range(2000)
    )
    both(tmp_path, source)
    began = time.perf_counter()
    read(tmp_path, "run.py:Runner")
    assert time.perf_counter() - began < 10  # quadratic would be minutes


def test_only_the_syntax_is_read(tmp_path: Path) -> None:
    write(tmp_path, "raise SystemExit('run!')\nclass Runner:\n    def run(self, a: int) -> str: ...\n")
    assert read(tmp_path, "run.py:Runner").required == ("a",)
    assert "run" not in sys.modules


def test_defaults_for_people(tmp_path: Path) -> None:
    outline, _ = both(tmp_path, PLAIN["every rule"])
    shown = {parameter.name: parameter.default for parameter in outline.parameters}
    assert shown["steps"] == "20"
    assert shown["style"] == "plain"
    assert shown["flag"] == "false"
    assert shown["key"] == "**********"
    assert shown["prompt"] is None
    assert shown["none"] is None
    assert shown["several"] == "[1]"


def test_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "class Runer:\n    def run(self) -> str: ...\n")
    with pytest.raises(OutlineError, match=r"run\.py has nothing called Runner\. Did you mean Runer\?"):
        read(tmp_path, "run.py:Runner")
    with pytest.raises(OutlineError, match=r"Write the name behind a colon, for example run\.py:Runer"):
        read(tmp_path, "run.py")
    with pytest.raises(
        OutlineError, match=r"does not exist, but 'rum\.py:Runner' names it\. Did you mean run\.py\?"
    ):
        read(tmp_path, "rum.py:Runner")


@pytest.mark.parametrize(
    "source",
    [
        "from elsewhere import *\n",
        "def __getattr__(name): ...\n",
        "globals()['Runner'] = 1\n",
        "from elsewhere import Runner\n",
        "Runner = make()\n",
        "import elsewhere as Runner\n",
        "def make():\n    global Runner\n    Runner = 1\n",
        "for Runner in (): pass\n",
        "class Runner(elsewhere.Base): ...\n",
        "from elsewhere import Base\nclass Runner(Base): ...\n",
        "class Runner(Runner): ...\n",
        "class A(B): ...\nclass B(A): ...\nRunner = A\nclass Runner(A): ...\n",
        "class Runner:\n    run = elsewhere\n",
        "class Runner:\n    def run(self, *args, **kwargs): ...\n",
    ],
)
def test_what_may_be_there_is_left_open(source: str, tmp_path: Path) -> None:
    outline = read(write(tmp_path, source), "run.py:Runner")
    assert not outline.complete
    assert outline.required == ()


def test_a_syntax_error_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "class Runner:\n    def run(self, a: int -> str: ...\n")
    with pytest.raises(OutlineError) as caught:
        read(tmp_path, "run.py:Runner")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("run.py:2: SyntaxError: ")
    assert lines[1] == "        def run(self, a: int -> str: ..."
    assert lines[2].strip() == "^"
    assert lines[1][lines[2].index("^")] in "(-"
    assert "try again" in lines[3]


def test_a_syntax_error_of_another_python_is_not_ours_to_judge(tmp_path: Path) -> None:
    write(tmp_path, "class Runner:\n    def run(self, a: int -> str: ...\n")
    assert not read(tmp_path, "run.py:Runner", python=(3, 99)).complete


@pytest.mark.parametrize(
    "content", [b"class Runner:\0 pass", b"# coding: nothing\n", b"x = '\xff'\n", b"\tx\n y"]
)
def test_what_is_no_python(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_bytes(content)
    with pytest.raises(OutlineError, match=r"run\.py"):
        read(tmp_path, "run.py:Runner")


def test_brackets_without_end_are_left_open(tmp_path: Path) -> None:
    write(tmp_path, "x = " + "-" * 100_000 + "1\n")
    with contextlib.suppress(OutlineError):  # this Python's parser may have a bound that is lower, or none
        assert not read(tmp_path, "run.py:Runner").complete


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.sampled_from([part for source in PLAIN.values() for part in source.split()]), max_size=60
    )
)
def test_whatever_the_file_holds(parts: list[str], tmp_path: Path) -> None:
    write(tmp_path, "class Runner:\n    def run(self, a: int = " + " ".join(parts) + ") -> str: ...\n")
    with contextlib.suppress(OutlineError):
        read(tmp_path, "run.py:Runner")


MARKED = """
from cog import BaseRunner, concurrent, streaming
import cog
SIZE = 3

class Runner(BaseRunner):
    @cog.concurrent(max=4)
    @streaming
    @other(max=9)
    async def run(self) -> str: ...

class Later(BaseRunner):
    @concurrent(max=SIZE)
    def run(self) -> str: ...
"""


def test_how_it_is_called_and_what_its_decorators_say(tmp_path: Path) -> None:
    write(tmp_path, MARKED)
    found = read(tmp_path, "run.py:Runner")
    assert (found.asynchronous, found.marks) == (True, {"cog.concurrent": {"max": 4}, "cog.streaming": {}})
    found = read(tmp_path, "run.py:Later")
    assert (found.asynchronous, found.marks) == (False, {"cog.concurrent": {"max": ...}})
    assert read(write(tmp_path, "from other import Runner"), "run.py:Runner").asynchronous is None
