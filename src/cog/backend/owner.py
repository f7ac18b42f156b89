"""Who employs workers: what they are told to run, and what they report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from cog.backend.gpus import Gpus
from cog.backend.poll import NEVER, Poll
from cog.prediction.events import Source

W = TypeVar("W", contravariant=True)


@dataclass(frozen=True, slots=True)
class Spec:
    """What is run, and how. `command` starts a worker; times are in seconds; for `train` and `survey` see the order that
    a worker gets, `Load`; `gpus` are divided among the workers."""

    command: tuple[str, ...]
    reference: str
    folder: str
    environment: Mapping[str, str]
    max_concurrency: int | None = None
    cancel_grace: float = 10.0
    predict_timeout: float | None = None
    train: bool = False
    survey: bool = False
    gpus: Gpus = field(default_factory=Gpus)
    busy_poll: Poll = NEVER


class Fate(NamedTuple):
    """How a worker ended: `cause` in plain words; `expected` when it was ended on purpose."""

    cause: str
    expected: bool


class Owner(Protocol[W]):
    """Who is told of a worker (of type `W`). Must return at once and must not raise."""

    def worker_ready(self, worker: W) -> None:
        """Its setup is done."""

    def worker_broken(self, worker: W, cause: str) -> None:
        """Its setup failed; it is about to end."""

    def worker_ended(self, worker: W, fate: Fate) -> None:
        """Its process is gone."""

    def worker_served(self, worker: W) -> None:
        """Runs ended, and the worker itself said how: it has more free slots."""

    def worker_changed(self, worker: W) -> None:
        """It has another number of free slots for another reason."""

    def worker_froze(self, worker: W, frozen: bool) -> None:
        """It does not answer any more, or it answers again."""

    def worker_printed(self, worker: W, text: str, source: Source) -> None:
        """Text that belongs to no run."""
