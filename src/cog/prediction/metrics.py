"""The figures that a model recorded, as one object. The names and types were checked where they were recorded."""

from __future__ import annotations

import math
from typing import Final

from cog.prediction.events import Metric

# About the bytes of JSON text that are kept of all metrics of one prediction.
LIMIT: Final = 16 * 1024 * 1024
NOTICE: Final = (
    "[cog: the metrics of this prediction are over 16 MiB; what is recorded from here on is dropped]\n"
)
UNSUMMED: Final = (
    "[cog: the metric {name!r} was not incremented: the sum would be more than a number in JSON can say]\n"
)
# Digits of an integer that Python writes and reads as text (sys.int_info.default_max_str_digits), in bits.
_LARGEST_INT: Final = int(4_300 * math.log2(10))
# What an entry takes in memory, whatever its text is.
_PER_ENTRY: Final = 64


class Meter:
    """Keeps the figures of one prediction within the limit.

    What comes is counted; only when that reaches the limit is measured what is there, so that a figure that is replaced
    again and again costs no more than itself.
    """

    __slots__ = ("_full", "_left")

    def __init__(self) -> None:
        self._full = False
        self._left = LIMIT

    def record(self, metrics: dict[str, object], metric: Metric) -> str | None:
        """Take `metric` into `metrics`. None when that was done; else what there is to say of it, once for those that
        are dropped since there is no room."""
        if self._full:
            return ""
        cost = _PER_ENTRY + len(metric.name) + size(metric.value)
        self._left -= cost
        if self._left < 0:
            room = LIMIT - size(metrics) - cost
            if room < 0:
                self._full = True
                return NOTICE
            self._left = max(room, LIMIT // 4)  # near the limit, not measured again for each figure
        return None if record(metrics, metric) else UNSUMMED.format(name=metric.name)


def size(value: object) -> int:
    """About the bytes that a value takes beside its own place."""
    match value:
        case dict():
            return sum(_PER_ENTRY + len(name) + size(item) for name, item in value.items())
        case list():
            return sum(_PER_ENTRY + size(item) for item in value)
        case str():
            return len(value)
        case int() if value.bit_length() > 64:
            return value.bit_length() // 3
        case _:
            return 0


def record(metrics: dict[str, object], metric: Metric) -> bool:
    """Take `metric` into `metrics`. Dots in its name lead into nested objects; a value in the way is replaced by one.

    Modes: `replace` (None removes), `increment` (what is no number is replaced), `append` (a single value before
    becomes the first of the list). False when nothing was changed, since JSON has no number for the sum.
    """
    *path, last = metric.name.split(".")
    inner = metrics
    for part in path:
        found = inner.get(part)
        if not isinstance(found, dict):
            if metric.value is None:
                return True
            found = inner[part] = {}
        inner = found
    if metric.value is None:
        inner.pop(last, None)
    elif metric.mode == "increment":
        total = _sum(inner.get(last), metric.value)
        if total is None:
            return False
        inner[last] = total
    elif metric.mode == "append":
        before = inner.setdefault(last, [])
        if not isinstance(before, list):
            before = inner[last] = [before]
        before.append(metric.value)
    else:
        inner[last] = metric.value
    return True


def _sum(before: object, value: object) -> object:
    """Both together; `value` alone where there is nothing to add to, None for what JSON cannot say."""
    if not isinstance(before, int | float) or not isinstance(value, int | float) or isinstance(before, bool):
        return value
    try:
        total = before + value
    except OverflowError:
        return None
    if isinstance(total, int):
        return total if total.bit_length() <= _LARGEST_INT else None
    return total if math.isfinite(total) else None
