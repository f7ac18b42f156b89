"""What the model's server writes, shown as it comes."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import threading
from collections.abc import Iterator
from typing import IO, Final, Protocol

_PIECE: Final = 65536
_TAIL: Final = 16384  # characters


class Writer(Protocol):
    """Takes text, such as a screen."""

    def write(self, text: str) -> None:
        """Whole lines or parts of them."""


class Tail:
    """Keeps the end of what is written: nobody wants to see what a model prints a thousand times a second."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Keep it."""
        self.text = (self.text + text)[-_TAIL:]


class ServerLog:
    """Reads the pipe of a server and shows it, from a thread of its own."""

    def __init__(self, pipe: IO[bytes], screen: Writer) -> None:
        self._descriptor = pipe.fileno()
        self._screen = screen
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="server-log", daemon=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator[ServerLog]:
        """Show it until the end of the block; what has come by then is shown whole."""
        stop, stopping = os.pipe()
        self._stop = stop
        self._thread.start()
        try:
            yield self
        finally:
            os.close(stopping)
            self._thread.join()
            os.close(stop)
            self.settle()

    def settle(self) -> None:
        """Return when everything that was written before is shown."""
        while self._take(0):
            pass

    def _read(self) -> None:
        while self._stop not in select.select([self._descriptor, self._stop], [], [])[0]:
            if not self._take(0) and self._ended:
                return

    _ended = False

    def _take(self, timeout: float) -> bool:
        """Show what there is; False when there is nothing."""
        with self._reading:
            if self._ended or not select.select([self._descriptor], [], [], timeout)[0]:
                return False
            data = os.read(self._descriptor, _PIECE)
            self._ended = not data
            self._screen.write(self._decoder.decode(data, final=not data))
            return not self._ended
