"""The figures that a model recorded, as one object. The names and types were checked where they were recorded."""

from __future__ import annotations

from typing import cast

from cog.prediction.events import Metric


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
