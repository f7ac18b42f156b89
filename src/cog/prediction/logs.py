"""The text that one prediction printed, kept within a limit."""

from __future__ import annotations

from collections import deque
from typing import Final

# From the contract: 16 MiB are kept for each prediction, then the middle is cut with a notice.
LIMIT: Final = 16 * 1024 * 1024


class LogText:
    """Appended to in constant time, joined when somebody looks.

    The first half of the limit is kept as it came, of what follows the newest half: the beginning tells what was
    run, the end why it failed.
    """

    __slots__ = ("_cut", "_first", "_joined", "_last", "_limit", "_sizes")

    def __init__(self, limit: int = LIMIT) -> None:
        """`limit` is in characters."""
        self._limit = limit
        self._first: list[str] | None = None  # most predictions print nothing: no list until then
        self._last: deque[str] | None = None
        self._sizes = (0, 0)
        self._cut = 0
        self._joined: str | None = ""

    def append(self, text: str) -> None:
        """Add `text`, as it was printed."""
        self._joined = None
        half = self._limit // 2
        first, last = self._sizes
        if self._first is None:
            self._first = []
        if self._last is None:
            head, text = text[: half - first], text[half - first :]
            self._first.append(head)
            self._sizes = first + len(head), last
        if text:
            self._append_last(text, half)

    def _append_last(self, text: str, half: int) -> None:
        if self._last is None:
            self._last = deque()
        self._last.append(text)
        size = self._sizes[1] + len(text)
        while size > half:
            oldest = self._last.popleft()
            drop = min(size - half, len(oldest))
            if drop < len(oldest):
                self._last.appendleft(oldest[drop:])
            size -= drop
            self._cut += drop
        self._sizes = self._sizes[0], size

    def __str__(self) -> str:
        if self._joined is None:
            notice = f"\n[... {self._cut:,} characters of logs were cut here ...]\n" if self._cut else ""
            self._joined = "".join((*(self._first or ()), notice, *(self._last or ())))
        return self._joined
