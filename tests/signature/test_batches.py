"""What a single prediction is to a model that takes batches, read off its code; and what is refused, with what to write."""

from __future__ import annotations

import pathlib
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from cog.errors import SignatureError
from cog.schema.openapi import document
from cog.signature import wire
from cog.signature.entry import Entry
from cog.signature.facts import Batch
from cog.signature.inspect import read
from cog.signature.load import METHODS, TRAINING, load
from support.sources import both

PREAMBLE = """
from typing import *
import collections.abc as abc
from cog import *
"""


@pytest.fixture(params=["", "from __future__ import annotations\n"], ids=["plain", "future"])
def entry(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setattr(sys, "path", list(sys.path))

    def made(source: str, names: Any = METHODS) -> Entry:
        (tmp_path / "batched.py").write_text(request.param + PREAMBLE + textwrap.dedent(source))
        return read(load(f"batched.py:{names[0]}", tmp_path, names), names)

    yield made
    sys.modules.pop("batched", None)


def described(text: str) -> str:
    """The same model of single predictions."""
    return f"def run({text}): ...\n"


SAME_AS = [
    ("text: list[str]) -> list[int", "text: str) -> int"),
    ("text: List[str], n: Sequence[int]) -> Sequence[float", "text: str, n: int) -> float"),
    (
        "image: list[Path] = Input(description='d')) -> list[Path",
        "image: Path = Input(description='d')) -> Path",
    ),
    (
        "n: list[int] = Input(default=3, ge=1, le=5)) -> list[dict",
        "n: int = Input(default=3, ge=1, le=5)) -> dict",
    ),
    ("words: list[list[str]]) -> list[list[str]", "words: list[str]) -> list[str]"),
    ("x: list[Optional[str]]) -> list[Optional[str]", "x: Optional[str]) -> Optional[str]"),
    ("x: list) -> list", "x: Any) -> Any"),
    ("x: list[str]) -> Iterator[list[str]", "x: str) -> Iterator[str]"),
    ("x: list[str]) -> ConcatenateIterator[list[str]", "x: str) -> ConcatenateIterator[str]"),
    ("x: list[str]) -> Generator[list[int], None, None", "x: str) -> Generator[int, None, None]"),
    ("x: list[str]", "x: str)"),
]


@pytest.mark.parametrize(("batched", "single"), SAME_AS)
def test_clients_see_a_model_of_single_predictions(entry: Any, batched: str, single: str) -> None:
    closing = "]: ...\n" if "->" in batched and batched.count("[") > batched.count("]") else "): ...\n"
    if "->" in batched and closing.startswith(")"):
        closing = ": ...\n"
    one = entry(f"@batch\ndef run({batched}{closing}").signature
    other = entry(f"def run({single}: ...\n").signature
    assert (one.parameters, one.result, one.style) == (other.parameters, other.result, other.style)
    assert document(one) == document(other)
    assert one.batch == Batch(8, 0.005)
    assert other.batch is None
    assert wire.load(wire.dump(one)) == one


def test_what_must_be_the_same_is_no_list(entry: Any) -> None:
    signature = entry(
        "@batch(max_size=3, max_wait=1, same=('steps', 'tags'))\n"
        "def run(text: list[str], steps: int = 2, tags: list[str] = Input(default=['a'])) -> list[str]: ...\n"
    ).signature
    single = entry(described("text: str, steps: int = 2, tags: list[str] = Input(default=['a'])")).signature
    assert signature.parameters == single.parameters
    assert signature.batch == Batch(3, 1.0, ("steps", "tags"))


@pytest.mark.parametrize("style", ["def run", "async def run"])
def test_async_ones_and_generators(entry: Any, style: str) -> None:
    body = "@batch\n" + style + "(x: list[str])"
    assert entry(body + " -> list[str]: ...\n").signature.style == (
        "coroutine" if "async" in style else "function"
    )
    kind = "AsyncIterator" if "async" in style else "Iterator"
    signature = entry(body + f" -> {kind}[list[str]]:\n    yield x\n").signature
    assert (signature.yields, signature.is_async) == (True, "async" in style)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("@batch\ndef run(text: str) -> list[str]: ...", "Write list[str], or name the parameter in @batch(same=(...))"),
        ("@batch\ndef run(text: list[str]) -> str: ...", "Write -> list[str]"),
        ("@batch\ndef run(text: list[str]) -> dict[str, int]: ...", "Write -> list[dict[str, int]]"),
        ("@batch\ndef run(text: list[str]) -> Iterator[str]:\n    yield", "Write -> Iterator[list[str]]"),
        ("@batch\ndef run(text: list[str]) -> ConcatenateIterator[str]:\n    yield", "ConcatenateIterator[list[str]]"),
        ("@batch(same=['tset'])\ndef run(text: list[str]) -> list[str]: ...", "names 'tset', but has no such parameter"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_with_what_to_write(entry: Any, source: str, said: str) -> None:
    with pytest.raises(SignatureError) as caught:
        entry(source + "\n")
    assert said in str(caught.value)


def test_trainings_are_made_one_by_one(entry: Any) -> None:
    with pytest.raises(SignatureError, match="trainings are made one by one"):
        entry("@batch\ndef train(text: list[str]) -> list[str]: ...\n", TRAINING)


def test_the_arguments_of_one_call(entry: Any) -> None:
    made = entry(
        "@batch(same=('steps',))\ndef run(text: list[str], n: list[int] = Input(default=1), steps: int = 2) -> list[str]: ...\n"
    )
    inputs = [made.arguments({"text": "a", "n": 5}), made.arguments({"text": "b"})]
    assert made.together(inputs) == {"text": ["a", "b"], "n": [5, 1], "steps": 2}


@pytest.mark.parametrize(
    "source",
    [
        """
        from cog import BaseRunner, Input, batch
        class Runner(BaseRunner):
            @batch(max_size=4, same=("steps",))
            def run(self, text: list[str], n: list[int] = Input(default=3, ge=1), steps: int = 2) -> list[str]: ...
        """,
        """
        import cog
        from typing import List
        class Runner(cog.BaseRunner):
            @cog.batch
            async def run(self, image: List[cog.Path]) -> List[str]: ...
        """,
    ],
)
def test_the_command_line_reads_the_same_off_the_source(tmp_path: pathlib.Path, source: str) -> None:
    outline, signature = both(tmp_path, source)
    assert outline.complete
    for mine, fact in zip(outline.parameters, signature.parameters, strict=True):
        assert mine.name == fact.name
        assert mine.required is fact.required
        assert mine.schema.get("type") == fact.kind.json_schema().get("type")
