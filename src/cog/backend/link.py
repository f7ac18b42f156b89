"""The server's end of a worker's socket: frames out, coalesced per loop turn; frames in, as they come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from cog.errors import ProtocolError
from cog.worker.frames import FrameReader, Header
from cog.worker.messages import Down, Up, read_up

# For much more than this malloc asks the system for memory, and gives it back, each time (glibc, M_MMAP_THRESHOLD).
_CHUNK: Final = 64 * 1024


_decode: Final = msgspec.json.Decoder().decode


def _quick(head: bytes) -> Header | None:
    """A header of a frame, read in a tenth of the time that Python's own reader takes. None for one that has half of a
    character in it (a file's name may), or is none."""
    try:
        header = _decode(head)
    except msgspec.MsgspecError:
        return None
    return header if isinstance(header, dict) and isinstance(header.get("kind"), str) else None


class Link:
    """A non-blocking socket that carries messages.

    `take` gets what arrived together; `distrust` is told when the other side does not keep to the protocol, after
    which nothing more is read; `gone` when the other side has closed it.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[list[Up]], None],
        distrust: Callable[[ProtocolError], None],
        gone: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._take = take
        self._distrust = distrust
        self._gone = gone
        self._reader = FrameReader(_quick)
        self._out: list[bytes] = []
        self._scheduled = False
        self._writing = False
        self._reading = True
        self._closed = False
        self._refused = False
        self._taking = False
        self.unread = False
        loop.add_reader(self._fd, self.read)

    def send(self, message: Down, *, now: bool = False) -> bool:
        """Send one message: at the end of this turn of the loop, or `now` when no other is expected in it.

        False when it is known that nobody will read it.
        """
        self._out.append(message.pack())
        if now:
            self._flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._scheduled_flush)
        return not self._refused

    def _scheduled_flush(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        if self._closed or self._writing or not self._out:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._write(memoryview(data))

    def _write(self, data: memoryview) -> None:
        try:
            data = data[self._sock.send(data) :]
        except BlockingIOError:
            pass
        except OSError:  # the worker has ended; its death is noticed, and dealt with, elsewhere
            self._refused = True
            return
        if data:
            self._writing = True
            self._loop.add_writer(self._fd, self._resume, data)

    def _resume(self, data: memoryview) -> None:
        self._loop.remove_writer(self._fd)
        self._writing = False
        if not self._closed:
            self._write(data)
        if not self._writing:
            self._flush()

    def read(self) -> None:
        """Take what has arrived."""
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:  # it was closed before everything that we sent had been read (Linux)
            self.unread = True
            data = b""
        except OSError:
            data = b""
        if data:
            self._read(data)
        else:
            self._stop_reading()
            self._gone()

    def catch_up(self) -> bool:
        """Take what has arrived; false when that is just being done."""
        if self._taking:
            return False
        if self._reading:
            self.read()
        return True

    def _read(self, data: bytes) -> None:
        self._taking = True
        try:
            self._hand_on(data)
        finally:
            self._taking = False

    def _hand_on(self, data: bytes) -> None:
        messages: list[Up] = []
        try:
            for frame in self._reader.feed(data):
                messages.append(read_up(frame))  # noqa: PERF401  those before an error count
        except ProtocolError as error:
            self._stop_reading()
            self._take(messages)  # what came before was right
            self._distrust(error)
        else:
            self._take(messages)

    def drain(self) -> None:
        """Take everything that has arrived (what a worker sent before it died)."""
        while self._reading:
            try:
                data = self._sock.recv(_CHUNK)
            except OSError as error:
                self.unread = self.unread or isinstance(error, ConnectionResetError)
                return
            if not data:
                return
            self._read(data)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def finish(self) -> None:
        """Tell the other side that nothing more will come."""
        self._flush()
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has already gone

    def close(self) -> None:
        """Forget the socket; its owner closes it."""
        self._closed = True
        self._stop_reading()
        if self._writing:
            self._loop.remove_writer(self._fd)
            self._writing = False
