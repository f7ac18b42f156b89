"""The part of docs/performance.md that this program writes: what stands between two marks."""

from __future__ import annotations

from typing import Final

BEGIN: Final = "<!-- from here on written by `make bench` -->"
END: Final = "<!-- up to here written by `make bench` -->"


def replaced(document: str, part: str) -> str:
    """The document with another part between its marks; all else stays as it is.

    Raises:
        ValueError: the marks are not there, each once and in their order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the document needs one {BEGIN!r} and after it one {END!r}")
    return f"{before}{BEGIN}\n\n{part.strip()}\n\n{END}{after}"
