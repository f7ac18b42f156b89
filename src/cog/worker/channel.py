"""The worker's end of the data socket."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cog.worker.busy_poll import Waiting
from cog.worker.frames import FrameReader
from cog.worker.messages import Down, Up, quick_start, read_down

# Frames that wait for the end of the loop's turn are sent earlier when they are more than this.
_ENOUGH: Final = 64 * 1024
# For much more than this malloc asks the system for memory, and gives it back, each time (glibc, M_MMAP_THRESHOLD).
_CHUNK: Final = 64 * 1024


class Channel:
    """Frames to and from the server. Any thread may send; one thread receives.

    A sync model's frames are sent at once; with `defer` set (an async model's) they are collected and sent together
    when the function given to it is called. The server always reads, so a send that blocks is the backpressure that
    keeps a flood of prints or chunks from filling the memory of either side.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._readable: Callable[[], None]
        self._readable = self._waiting = Waiting(sock)
        self._reader = FrameReader(quick_start)
        self._arrived: deque[Down] = deque()
        self._inbox: deque[bytes] = deque()
        self._pending: deque[bytes] = deque()
        self._size = 0
        # Reentrant: a finalizer that prints may run in the middle of a send of the same thread.
        self._lock = threading.RLock()
        self._defer: Callable[[], object] | None = None
        self._loop_thread: int | None = None
        self._scheduled = False
        self._closed = False

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def look(self, seconds: float) -> None:
        """From now on `receive()` looks for so long before it sleeps."""
        self._waiting.seconds = seconds

    def defer(self, schedule: Callable[[], object]) -> None:
        """From now on frames sent by this thread wait until `flush_in_turn()`, which `schedule` arranges, or `flush()`."""
        self._defer = schedule
        self._loop_thread = threading.get_ident()

    def send(self, message: Up) -> None:
        """Send one message, after all that were sent before it."""
        data = message.pack()
        with self._lock:
            self._pending.append(data)
            self._size += len(data)
            if self._defer is None or self._size > _ENOUGH or threading.get_ident() != self._loop_thread:
                self.flush()
            elif not self._scheduled:
                self._defer()
                self._scheduled = True

    def send_all(self, messages: Iterable[Up]) -> None:
        """Send messages together, after all that were sent before them."""
        data = [message.pack() for message in messages]
        with self._lock:
            self._pending.extend(data)
            self._size += sum(map(len, data))
            self.flush()

    def flush_in_turn(self) -> None:
        """Send what waits. Whether this was arranged or not, what is sent next arranges it anew."""
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send what waits. A server that is gone is no error here: the control socket tells of it."""
        with self._lock:
            self._size = 0
            parts = []
            while self._pending:  # one at a time: a reentrant send must find each frame exactly once
                parts.append(self._pending.popleft())
            if parts and not self._closed:
                try:
                    self._sock.sendall(parts[0] if len(parts) == 1 else b"".join(parts))
                except OSError:
                    self._closed = True

    def receive(self) -> Iterator[Down]:
        """Wait for messages until the server closes the channel. Those that one caller leaves wait for the next."""
        while True:
            while self._arrived:
                yield self._arrived.popleft()
            data = self._wait()
            if not data:
                return
            frames = self._reader.feed(data)
            self._inbox.clear()
            self._arrived.extend(map(read_down, frames))

    def _wait(self) -> bytes:
        """The next bytes, which stay in the inbox. An exception of the model's (a signal handler, an interrupt that
        waited until now) is raised as soon as Python goes on: all bytes are in the inbox by then, none is lost.
        """
        if not self._inbox:
            self._readable()
            try:
                self._inbox.extend(map(self._sock.recv, (_CHUNK,)))  # in one go for Python
            except ConnectionError:
                return b""
        return self._inbox[0]

    def receive_ready(self) -> list[Down]:
        """The messages that are there; never waits.

        Raises:
            EOFError: the server has closed the channel.
        """
        messages = list(self._arrived)
        self._arrived.clear()
        try:
            data = self._sock.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return messages
        except ConnectionError:
            raise EOFError from None
        if not data:
            raise EOFError
        return messages + [read_down(frame) for frame in self._reader.feed(data)]

    def abandon(self) -> None:
        """Close this process's copy of the channel: it belongs to the parent (after a fork)."""
        self._closed = True
        self._sock.close()
        # Its number may be that of another file by now, which a poll would wait for; to read it tells the truth.
        self._readable = lambda: None
