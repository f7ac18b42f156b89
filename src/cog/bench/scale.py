"""From figures to places on a plot, and which figures to write at its edge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TICKS = 6


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` become 0.0 to 1.0; with `logarithmic` each doubling is as long as any other."""

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value is."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return (value - low) / (high - low)


def from_zero(values: Sequence[float]) -> Scale:
    """A scale from 0 to somewhat above the largest of `values`."""
    top = max(values, default=0.0) or 1.0
    power = 10.0 ** math.floor(math.log10(top))
    step = next(step * power for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if top / (step * power) <= _TICKS - 1)
    count = math.ceil(round(top / step, 9))
    return Scale(0.0, count * step, False, tuple(index * step for index in range(count + 1)))


def decades(values: Sequence[float]) -> Scale:
    """A logarithmic scale around `values`, which are above 0; its ticks are 1, 2 and 5 of each power of 10."""
    smallest, largest = min(values, default=1.0), max(values, default=1.0)
    powers = range(math.floor(math.log10(smallest)) - 1, math.ceil(math.log10(largest)) + 2)
    marks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    low = max(mark for mark in marks if mark <= smallest)
    high = min(mark for mark in marks if mark >= largest)
    if low == high:
        high = min(mark for mark in marks if mark > low)
    shown = [mark for mark in marks if low <= mark <= high]
    if len(shown) > _TICKS + 1:
        shown = [mark for mark in shown if math.log10(mark) % 1 < 1e-9 or mark in (low, high)]
    return Scale(low, high, True, tuple(shown))


def doublings(values: Sequence[float]) -> Scale:
    """A logarithmic scale whose ticks are the `values` themselves, as far as they do not touch each other."""
    ordered = sorted(set(values)) or [1.0]
    low, high = ordered[0], max(ordered[-1], ordered[0] * 2)
    room = math.log(high / low) / 12
    shown: list[float] = []
    for value in ordered:
        if not shown or math.log(value / shown[-1]) >= room:
            shown.append(value)
    return Scale(low, high, True, tuple(shown))
