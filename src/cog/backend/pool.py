"""How many workers, and what each may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers a model gets, while memory lasts.

    A sync one: `wanted` (--threads), else `workers`, else one for each of `gpus`, else the number of processors. An
    async one: `workers`, else one for each of `gpus`, else 1.
    `setup_timeout` is in seconds, None for no limit. `concurrency` is the number of slots of each worker of an async
    model, None for what `@concurrent` says. A worker is replaced after so many predictions, and when it takes so many
    bytes (see `Renewal`); 0: never.
    """

    wanted: int | None = None
    concurrency: int | None = None
    setup_timeout: float | None = None
    workers: int | None = None
    gpus: int = 0
    max_predictions: int = 0
    max_memory: int = 0
