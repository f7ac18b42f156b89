"""What to try, and for how long. Decided from what was measured so far; nothing here measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MOST: Final = 256  # requests at a time, where nobody says how many; more say nothing new of one server
GROWTH: Final = 0.05  # less than this is noise: steps of 5 seconds on a busy machine differ by as much
_FLAT: Final = 2  # steps without growth, one after the other, that end a sweep: one may be a hiccup
_ROUNDS: Final = 3  # predictions of a slow model one after the other, at least
_QUICK: Final = 0.05  # a prediction that takes less than this share of a step is one of many in it
_WARM_UP: Final = 0.2  # of a step: connections and caches are new in it


@dataclass(frozen=True, slots=True)
class Setup:
    """How a server is started: `threads` and `batch` as its options, None where they are left alone."""

    threads: int | None = None
    batch: int | None = None


class Pace(NamedTuple):
    """How long a step takes: `warm_up` seconds that do not count, then `seconds`; `requests` in the place of
    these if they are given."""

    warm_up: float
    seconds: float
    requests: int | None


def setups(threads: Sequence[int], batches: Sequence[int]) -> tuple[Setup, ...]:
    """Every server to start; one as it is where there is nothing to compare."""
    return tuple(Setup(count, size) for count in (threads or (None,)) for size in (batches or (None,)))


def next_concurrency(done: Sequence[tuple[int, float]], wanted: Sequence[int] | None) -> int | None:
    """How many requests at a time to try next; None when it is enough.

    `done` are the concurrency and the throughput of each step so far; `wanted` is what to try, None for doubling from
    1 until throughput grows no more.
    """
    if wanted is not None:
        return wanted[len(done)] if len(done) < len(wanted) else None
    if not done:
        return 1
    doubled = done[-1][0] * 2
    return None if doubled > MOST or _flat(done) >= _FLAT else doubled


def _flat(done: Sequence[tuple[int, float]]) -> int:
    """How many of the last steps, one after the other, brought no growth over the best before them."""
    best, flat = 0.0, 0
    for _, throughput in done:
        flat = 0 if throughput > best * (1 + GROWTH) else flat + 1
        best = max(best, throughput)
    return flat


def pace(duration: float, requests: int | None, one: float) -> Pace:
    """The pace of steps of `duration` seconds for a model whose prediction takes `one` second: longer for a slow one.

    A quick one is warmed up. A slow one is not, for its steps begin together with their first predictions; so the
    predictions that end within a step are whole ones. Nor is one that gets `requests`, which are all that it gets.
    """
    if requests is None and one < duration * _QUICK:
        return Pace(duration * _WARM_UP, duration, requests)
    return Pace(0.0, max(duration, _ROUNDS * one * 1.1), requests)


def batch_sizes(most: int) -> tuple[int, ...]:
    """Which batches to compare, of a model that takes `most` at a time."""
    return tuple(sorted({1, max(1, most // 4), max(1, most // 2), most}))
