"""The figures that a model recorded, as one object. The names and types were checked where they were recorded."""

from __future__ import annotations

from typing import Final, cast

from cog.prediction.events import Metric

# About the bytes of JSON text that are kept of all metrics of one prediction.
LIMIT: Final = 16 * 1024 * 1024
NOTICE: Final = (
    "[cog: the metrics of this prediction are over 16 MiB; what is recorded from here on is dropped]\n"
)
# What an entry takes in memory, whatever its text is.
_PER_ENTRY: Final = 64


class Meter:
    """Keeps the figures of one prediction within the limit.

    What comes is counted; only when that reaches the limit is measured what is there, so that a figure that is replaced
    again and again costs no more than itself.
    """

    __slots__ = ("_left", "full")

    def __init__(self) -> None:
        self.full = False
        self._left = LIMIT

    def record(self, metrics: dict[str, object], metric: Metric) -> bool:
        """Take `metric` into `metrics`; False when it was dropped, since there is no room."""
        if self.full:
            return False
        cost = _PER_ENTRY + len(metric.name) + size(metric.value)
        self._left -= cost
        if self._left < 0:
            room = LIMIT - size(metrics) - cost
            if room < 0:
                self.full = True
                return False
            self._left = max(room, LIMIT // 4)  # near the limit, not measured again for each figure
        record(metrics, metric)
        return True


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


def record(metrics: dict[str, object], metric: Metric) -> None:
    """Take `metric` into `metrics`. Dots in its name lead into nested objects; a value in the way is replaced by one.

    Modes: `replace` (None removes), `increment`, `append` (a single value before becomes the first of the list).
    """
    *path, last = metric.name.split(".")
    inner = metrics
    for part in path:
        found = inner.get(part)
        if not isinstance(found, dict):
            if metric.value is None:
                return
            found = inner[part] = {}
        inner = found
    if metric.value is None:
        inner.pop(last, None)
    elif metric.mode == "increment":
        before = inner.get(last, 0)
        inner[last] = cast("float", before) + cast("float", metric.value)
    elif metric.mode == "append":
        before = inner.setdefault(last, [])
        if not isinstance(before, list):
            before = inner[last] = [before]
        before.append(metric.value)
    else:
        inner[last] = metric.value
