"""Figures as people read them: three digits that count, and a unit."""

from __future__ import annotations

import math
import re
from typing import Final

_ZEROS: Final = re.compile(r"(\.\d*?)0+(?= |$)")


def rate(per_second: float) -> str:
    """`1,234/s`, `12.3/s`, `0.0123/s`."""
    return f"{number(per_second)}/s"


def number(value: float) -> str:
    """`12,345`, `123`, `1.23`, `0.0123`."""
    if value <= 0:
        return "0"
    if value >= 99.95:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(value)))
    rounded = round(value, digits)  # 9.996 is 10.0, not 10.00
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def span(seconds: float) -> str:
    """`0.31 ms`, `12.3 ms`, `1.23 s`."""
    if seconds >= 0.9995:
        return f"{number(seconds)} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.2f} ms" if milliseconds < 0.995 else f"{number(milliseconds)} ms"


def size(count: float) -> str:
    """`24 B`, `1.5 KiB`, `32 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} GiB"


def times(ratio: float) -> str:
    """`1.9 times`."""
    return f"{ratio:.1f} times" if ratio < 9.95 else f"{ratio:,.0f} times"


def plural(count: int, noun: str) -> str:
    """`1 process`, `2 processes`."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def short(text: str) -> str:
    """A figure of these without zeros that say nothing: `50 ms` for `50.0 ms`."""
    return _ZEROS.sub(r"\1", text).replace(". ", " ").removesuffix(".")
