"""The text that one prediction printed, kept within a limit."""

from __future__ import annotations

from collections import deque
from typing import Final

# From the contract: 16 MiB are kept for each prediction, then the middle is cut with a notice.
LIMIT: Final = 16 * 1024 * 1024
# Small texts are put together to blocks of about this many characters: a text of its own takes 50 bytes and more.
_BLOCK: Final = 64 * 1024
# Texts that wait to be put together.
_LOOSE: Final = 1024


class LogText:
    """Appended to in constant time, joined when somebody looks.

    The first half of the limit is kept as it came, of what follows the newest half: the beginning tells what was
    run, the end why it failed.
    """

    __slots__ = (
        "_first",
        "_joined",
        "_last",
        "_last_size",
        "_limit",
        "_loose",
        "_loose_size",
        "_room",
        "_size",
    )

    def __init__(self, limit: int = LIMIT) -> None:
        """`limit` is in characters."""
        self._limit = limit
        self._room = limit // 2  # what the first half still takes
        self._size = 0
        self._first: list[str] | None = None  # most predictions print nothing: no lists until then
        self._last: deque[str] | None = None
        self._last_size = 0
        self._loose: list[str] | None = None
        self._loose_size = 0
        self._joined: str | None = ""

    def append(self, text: str) -> None:
        """Add `text`, as it was printed."""
        self._joined = None
        self._size += len(text)
        if self._loose is None:
            self._loose = []
        self._loose.append(text)
        self._loose_size += len(text)
        if self._loose_size > _BLOCK or len(self._loose) > _LOOSE:
            self._settle()

    def _settle(self) -> None:
        """Move what is loose into the first half, then into the last."""
        text = "".join(self._loose or ())
        self._loose = None
        self._loose_size = 0
        if self._room:
            head, text = text[: self._room], text[self._room :]
            self._room -= len(head)
            self._first = self._first or []
            self._first.append(head)
        if text:
            self._append_last(text)

    def _append_last(self, text: str) -> None:
        """Blocks leave whole as new ones come; what is too much of the oldest one is cut off on reading."""
        self._last = self._last or deque()
        for start in range(0, len(text), _BLOCK):
            self._last.append(text[start : start + _BLOCK])
        self._last_size += len(text)
        while self._last_size - len(self._last[0]) >= self._limit // 2:
            self._last_size -= len(self._last.popleft())

    def __str__(self) -> str:
        if self._joined is None:
            self._settle()
            last = "".join(self._last or ())[-(self._limit // 2) :]
            first = self._first or []
            cut = self._size - (self._limit // 2 - self._room) - len(last)
            notice = f"\n[... {cut:,} characters of logs were cut here ...]\n" if cut else ""
            self._joined = "".join((*first, notice, last))
        return self._joined
