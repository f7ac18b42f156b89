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
        self._last: deque[str] = deque()
        self._sizes = [0, 0]
        self._cut = 0
        self._joined: str | None = ""

    def append(self, text: str) -> None:
        """Add `text`, as it was printed."""
        self._joined = None
        half = self._limit // 2
        if self._first is None:
            self._first = []
        if not self._last:
            room = half - self._sizes[0]
            head, text = text[:room], text[room:]
            if head:
                self._first.append(head)
                self._sizes[0] += len(head)
        if text:
            self._append_last(text, half)

    def _append_last(self, text: str, half: int) -> None:
        self._last.append(text)
        self._sizes[1] += len(text)
        while self._sizes[1] > half:
            oldest = self._last.popleft()
            drop = min(self._sizes[1] - half, len(oldest))
            if drop < len(oldest):
                self._last.appendleft(oldest[drop:])
            self._sizes[1] -= drop
            self._cut += drop

    def __len__(self) -> int:
        return sum(self._sizes)

    def __str__(self) -> str:
        if self._joined is None:
            notice = f"\n[... {self._cut:,} characters of logs were cut here ...]\n" if self._cut else ""
            self._joined = "".join((*(self._first or ()), notice, *self._last))
            self._first = [self._joined] if not self._last else self._first
        return self._joined
