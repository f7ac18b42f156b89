"""What one prediction has yielded, as JSON text."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

# Chunks of up to so many bytes are put together, since one of its own takes 50 bytes and more beside its text; so many
# at a time.
SMALL: Final = 128
_LOOSE: Final = 1024


class Chunks:
    """Appended to in constant time, joined when somebody looks: a stream of n chunks costs O(n)."""

    __slots__ = ("_blocks", "_ends", "_loose")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._ends: list[int] = []  # how many chunks there are up to each block, that one included
        self._loose: list[bytes] = []

    def __bool__(self) -> bool:
        """True when there are any."""
        return bool(self._loose or self._blocks)

    def append(self, chunk: bytes) -> None:
        """Add the JSON text of one more. A large one is kept as the object that it is, which others share."""
        if len(chunk) <= SMALL:
            self._loose.append(chunk)
            if len(self._loose) == _LOOSE:
                self._settle()
        else:
            self._settle()
            self._add(chunk, 1)

    def _settle(self) -> None:
        if self._loose:
            self._add(b",".join(self._loose), len(self._loose))
            self._loose.clear()

    def _add(self, block: bytes, count: int) -> None:
        self._ends.append((self._ends[-1] if self._ends else 0) + count)
        self._blocks.append(block)

    def around(self, number: int) -> tuple[int, bytes]:
        """The JSON list of some chunks, that with this number (from 0) among them if there is one, and the number of the
        first of them."""
        index = bisect_right(self._ends, number)
        first = self._ends[index - 1] if index else 0
        return first, b"[%b]" % (self._blocks[index] if index < len(self._blocks) else b",".join(self._loose))

    def __bytes__(self) -> bytes:
        """The JSON list of all."""
        return b"[%b]" % b",".join((*self._blocks, *self._loose))
