"""A model that is written in a way that cannot be served: setup fails, and its logs say where, what, and what to write."""

from __future__ import annotations

from typing import Any

import pytest

from support.serving import Server, until

# One parameter each: how it is written, what is said of it, and what to write instead.
PARAMETERS = {
    "bare": ("bare", "has no type annotation", "for example: bare: str"),
    "pair": ("pair: tuple[int, complex]", "the type complex cannot be an input", "Write str, int, float, bool, cog.Path"),
    "group": ("group: set[list[int]]", "what is in a set must have a hash", "Write list[...]"),
    "mapping": ("mapping: OrderedDict[str, int]", "cannot be an input", "Write dict"),
    "kind": ("kind: Kind", "the values of an Enum", "Give the members of the Enum such values"),
    "raw": ("raw: bytearray", "the type bytearray cannot be an input", "Write bytes"),
    "record": ("record: Record", "in Record.b: the type complex", "Annotated[complex, Opaque]"),
    "number": ("number: complex", "the type complex cannot be an input", "Write str, int, float, bool, cog.Path"),
    "truth": ("truth: Literal[b'x']", "a Literal, or the values", "numbers and booleans"),
    "day": ("day: date = '2026-02-30'", 'is no date such as', "Change the default"),
    "place": ("place: Place = {'x': 'a'}", "has a default (member x)", "Change the default"),
    "unknown": ('unknown: "Unheard"', "cannot be evaluated", "Import the name"),
    "whole": ("whole: int = 1.5", 'is not of type "integer"', "Change the default"),
    "listed": ('listed: list[int] = [1, "a"]', "has a default (item 1)", "Change the default"),
    "above": ("above: int = Input(default=11, le=10)", "greater than the maximum of 10", "Change the default"),
    "below": ("below: float = Input(default=0, ge=0.5)", "less than the minimum of 0.5", "Change the default"),
    "short": ("short: str = Input(default='', min_length=1)", "shorter than 1", "Change the default"),
    "pattern": ("pattern: str = Input(default='b', regex='^a')", "does not match", "Change the default"),
    "broken": ("broken: str = Input(regex='(')", "cannot compile", "Correct the expression"),
    "other": ("other: str = Input(default='c', choices=['a', 'b'])", "is not one of", "Change the default"),
    "none": ("none: str = Input(choices=[])", "empty list of choices", "Leave choices out"),
    "shuffled": ("shuffled: int = Input(ge=5, le=3)", "no value fits", "Exchange them"),
    "limited": ("limited: str = Input(ge=5)", "limit numbers", "Annotate it int or float"),
    "measured": ("measured: int = Input(max_length=5)", "limit text", "Annotate it as str"),
    "picture": ("picture: str = Input(accept='image/*')", "only files can have", "Annotate it as cog.Path"),
    "rest": ("**rest: str", "takes any arguments (**rest)", "Write each input as a parameter"),
}  # fmt: skip

HEAD = """\
import enum
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from typing import Literal
from cog import BaseModel, BaseRunner, Input, Path
class Kind(enum.Enum):
    A = object()
class Record(BaseModel):
    a: str
    b: complex
@dataclass
class Place:
    x: int
class Runner(BaseRunner):
    def setup(self, folder: str) -> None:
        print("never reached")
    def run(
        self,
"""
FIRST = HEAD.count("\n") + 1
BODY = "    ) -> complex:\n        return 1j\n"


@pytest.fixture(scope="module")
def refused(serve_once: Any) -> Server:
    """All of them in one model."""
    # What has no default stands behind a star, where Python allows it after what has one.
    written = "".join(f"        {text} ,\n".replace("rest: str ,", "rest: str") for text, *_ in _sorted())
    server: Server = serve_once(HEAD + written + BODY, ready="the model is SETUP_FAILED")
    return server


def _sorted() -> list[tuple[str, str, str]]:
    return sorted(PARAMETERS.values(), key=lambda row: ("**" in row[0], "=" in row[0]))


def report(server: Server) -> list[str]:
    setup = server.health()["setup"]
    assert setup["status"] == "failed"
    return [line for line in setup["logs"].splitlines() if "run.py:" in line]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_wrong_parameter_is_named_with_its_line(refused: Server, name: str) -> None:
    text, complaint, advice = PARAMETERS[name]
    line = FIRST + [row[0] for row in _sorted()].index(text)
    told = [row for row in report(refused) if f'parameter "{name}" of Runner.run' in row]
    assert len(told) == 1, report(refused)
    assert f"run.py:{line}: " in told[0]
    assert complaint in told[0]
    assert advice in told[0]


def test_the_rest_of_the_model_is_named_too(refused: Server) -> None:
    rows = report(refused)
    assert len(rows) == len(PARAMETERS) + 2
    assert any(
        f"run.py:{FIRST - 2}: Runner.run has a return annotation" in row and "complex" in row for row in rows
    )
    assert any(
        f'run.py:{FIRST - 4}: parameter "folder" of Runner.setup is never passed' in row for row in rows
    )


def test_a_prediction_is_refused_with_the_cause(refused: Server) -> None:
    assert refused.health()["status"] == "SETUP_FAILED"
    until(refused.workers, lambda pids: pids == [], 0.5)  # the contract: gone within 0.5 s
    answer = refused.predict({})
    assert answer.status == 503
    assert 'parameter "bare" of Runner.run has no type annotation' in answer.json()["error"]


@pytest.mark.parametrize(
    ("source", "reference", "words"),
    [
        (
            "\nclass Runner:\n    def run(self) -> str: ...\n    def predict(self) -> str: ...\n",
            "run.py:Runner",
            ["run.py:2: ", "Runner must define either run() or predict(), not both", "Keep run()"],
        ),
        (
            "\n\nclass Runner:\n    def go(self) -> str: ...\n",
            "run.py:Runner",
            ["run.py:3: ", "run or predict method not found: Runner", "for example: def run(self"],
        ),
        ("class Runer: ...\n", "run.py:Runner", ["run.py has nothing called Runner", "Did you mean Runer?"]),
        ("Runner = 5\n", "run.py:Runner", ["Runner in run.py is an int", "Name the class that has run()"]),
        ("x = 1\n", "other.py:Runner", ["other.py does not exist", "Did you mean run.py?"]),
        (
            "from cog import concurrent\nclass Runner:\n    @concurrent(max=2)\n    def run(self) -> str: ...\n",
            "run.py:Runner",
            [', in Runner', "@concurrent(max=2) needs an async function", "write `async def run(...)`"],
        ),
        ("def run(:\n", "run.py:run", ['run.py", line 1', "SyntaxError"]),
        ("import nowhere_to_be_found\n", "run.py:run", ['run.py", line 1', "No module named 'nowhere_to_be_found'"]),
    ],
    ids=["both", "neither", "misspelt", "no class", "no file", "concurrent", "syntax", "import"],
)  # fmt: skip
def test_a_model_that_cannot_be_loaded(serve: Any, source: str, reference: str, words: list[str]) -> None:
    server = serve(source, config=f'run: "{reference}"\n', ready="the model is SETUP_FAILED")
    setup = server.health()["setup"]
    assert setup["status"] == "failed"
    for word in words:
        assert word in setup["logs"]
