"""The worker's descriptors 1 and 2, read by the server: a reader inside the worker could be starved by C code."""

from __future__ import annotations

import asyncio
import codecs
import os
import select
from collections.abc import Callable
from typing import Final

from cog.prediction.events import Source

_CHUNK: Final = 65536
# The end of a run waits for at most this much, more than a pipe holds: a child that floods it may never end.
_MOST: Final = 256 * 1024


class PipeReader:
    """Reads one pipe as it fills, and on demand until it would block. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, fd: int, source: Source, take: Callable[[str, Source], None]) -> None:
        self._fd = fd
        self._source: Source = source
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read whenever there is something."""
        self._loop = loop
        loop.add_reader(
            self._fd, self._read
        )  # one piece in a turn: a flood must leave time for everything else

    def drain(self) -> None:
        """Read what is there now."""
        for _ in range(_MOST // _CHUNK):
            if not self._read():
                return

    def _read(self) -> bool:
        """Read one piece; False when there was none."""
        if self._loop is None:
            return False
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        text = self._decoder.decode(data, final=not data)
        if text:
            self._take(text, self._source)
        if not data:
            self.stop()
        return bool(data)

    def cut(self) -> None:
        """A run has ended: the begun character that it left must not become a part of the next one's text."""
        text = self._decoder.decode(b"", final=True)
        if text:
            self._take(text, self._source)

    def stop(self) -> None:
        """Read no more."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None


class Pipes:
    """Both pipes of a worker."""

    def __init__(self, stdout: int, stderr: int, take: Callable[[str, Source], None]) -> None:
        self._readers = {
            stdout: PipeReader(stdout, "stdout", take),
            stderr: PipeReader(stderr, "stderr", take),
        }
        self._look = select.poll()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read whenever there is something."""
        for fd, reader in self._readers.items():
            reader.start(loop)
            self._look.register(fd, select.POLLIN)

    def drain(self) -> None:
        """Read what is there now. One look at both costs less than two reads that find nothing."""
        for fd, _ in self._look.poll(0):
            self._readers[fd].drain()

    def cut(self) -> None:
        """The text so far is complete."""
        for reader in self._readers.values():
            reader.cut()

    def stop(self) -> None:
        """Read no more."""
        for reader in self._readers.values():
            reader.stop()
