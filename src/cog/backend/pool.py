"""How many workers, and what each may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers a sync model gets: `wanted`, or the number of processors while memory lasts when None.

    `setup_timeout` is in seconds, None for no limit. `concurrency` is the number of slots of an async model's one
    worker, None for what `@concurrent` says.
    """

    wanted: int | None = None
    concurrency: int | None = None
    setup_timeout: float | None = None
