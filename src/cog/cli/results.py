"""Standard output: the result, and nothing but the result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class StandardOutput:
    """Writes results as UTF-8, each at once. Without a buffer, which Python would try to write again at its end."""

    def __init__(self, make_room: Callable[[bool], None]) -> None:
        """`make_room` is called before something is written, with whether it goes to a terminal, which messages may
        share."""
        self._make_room = make_room
        self._descriptor = None if sys.stdout is None else sys.stdout.fileno()  # None: it was closed
        self._terminal = self._descriptor is not None and os.isatty(self._descriptor)
        self._unfinished = False

    def write(self, text: str) -> None:
        """Write all of `text`, as it is.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        if self._descriptor is None or not text:
            return
        self._make_room(self._terminal)
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._unfinished = not text.endswith("\n")

    def finish(self) -> None:
        """On a terminal, end a line that the model has not ended. Elsewhere the text stays what it is."""
        if self._terminal and self._unfinished:
            self.write("\n")
