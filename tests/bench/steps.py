"""Steps of a sweep, as a model of known speed would give them."""

from __future__ import annotations

from cog.bench.figures import Latency, Step
from cog.bench.plan import Setup
from cog.bench.subject import Style, Subject


def step(
    concurrency: int,
    throughput: float,
    setup: Setup = Setup(),  # noqa: B008 - frozen
    *,
    slots: int | None = 1,
    refused: int = 0,
    failures: tuple[tuple[str, int], ...] = (),
    generator: float = 0.1,
    together: float | None = None,
) -> Step:
    """One step of 5 seconds; its latency is what so many clients see of such a throughput."""
    answers = round(throughput * 5)
    latency = Latency.of([concurrency / throughput]) if answers else None
    failed = sum(count for _, count in failures)
    return Step(
        setup, concurrency, slots, 5.0, answers, refused, failed, throughput, latency, 0.01, together, generator,
        failures,
    )  # fmt: skip


def subject(style: Style = "sync", *, batched: bool = False) -> Subject:
    """A model of this style."""
    return Subject("run.py:Runner", style, batched, False, 24, 2, "a processor", "0.1.0", 0.01)
