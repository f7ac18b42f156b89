"""What was measured, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

# How `run()` is declared; None where that is not known, as of a server that somebody else has started.
Style: TypeAlias = Literal["sync", "async"] | None


@dataclass(frozen=True, slots=True)
class Subject:
    """`name` is the model's, as `run.py:Runner`, or the URL of the server (then `url`); `batched` says that it has
    `@batch`. `input_bytes` is what a request
    carries, `processors` are those that this machine lends us, `first` is the seconds of one prediction alone."""

    name: str
    style: Style
    batched: bool
    url: bool
    input_bytes: int
    processors: int
    machine: str
    version: str
    first: float
