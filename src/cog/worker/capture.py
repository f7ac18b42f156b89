"""What the model prints: Python text with the run it belongs to, and the descriptors below it.

Python's `sys.stdout` and `sys.stderr` become writers that send each line as a frame of the run whose context printed
it. Descriptors 1 and 2 are pipes that the server reads; bytes written there by C code and child processes have no
context, so they belong to the one run that is in flight.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Final, cast

from cog.worker import calls
from cog.worker.calls import Call, Held
from cog.worker.channel import Channel
from cog.worker.messages import Printed, Source

# Text without a newline is held back until there is one, but never more than this many characters.
_HELD: Final = 8192
# Characters of one frame: a huge print in one piece would take its size many times over in the server.
_LARGEST: Final = 1024 * 1024
# Above the descriptors that models close in a row (see main).
_HIGH: Final = 900
_SURROGATE = re.compile("[\ud800-\udfff]")


class Capture:
    """Sends what Python code prints; made once, for both streams."""

    def __init__(self, channel: Channel) -> None:
        self._channel: Channel | None = channel
        self._main = threading.main_thread().ident
        self._lock = threading.RLock()
        self._outside: dict[str, Held] = {}
        self._kept: tuple[int, ...] = ()
        self.fflush = _c_flush()

    def install(self) -> None:
        """Put the writers in place of `sys.stdout` and `sys.stderr`, and give them up in forked children."""
        sys.stdout = CapturedStream(self, "stdout")
        sys.stderr = CapturedStream(self, "stderr")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.abandon)

    def keep_descriptors(self) -> None:
        """Remember where descriptors 1 and 2 lead now, for `restore_descriptors()`."""
        kept = []
        for fd in (1, 2):
            try:
                kept.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH))
            except (
                OSError,
                ValueError,
            ):  # setup() has closed it, or so many descriptors are not allowed here
                kept.append(fd)
        self._kept = tuple(kept)

    def restore_descriptors(self) -> None:
        """Let 1 and 2 lead where they led: a model that closed them, or put a file in their place, did that for one run."""
        try:
            for fd, kept in enumerate(self._kept, 1):
                os.dup2(kept, fd)
        except OSError:
            self._kept = ()  # the model closes every descriptor there is: from now on that is how it is

    def abandon(self) -> None:
        """In a forked child: what it prints goes to the descriptors, where its parent's C output goes too."""
        if self._channel is not None:
            self._channel.abandon()
        self._channel = None
        self._outside.clear()  # its parent prints that
        self._lock = threading.RLock()

    def write(self, source: Source, text: str) -> None:
        """Take text that was printed; whole lines are sent at once."""
        call = self._call()
        if call is None or threading.get_ident() != self._main:
            self._hold(call, source, text)
            return
        lead = call.lead or call
        lead.guarded += 1
        try:
            self._hold(call, source, text)
        finally:
            lead.guarded -= 1
        lead.interrupt(sys.exc_info()[1])

    def _hold(self, call: Call | None, source: Source, text: str) -> None:
        with self._lock:
            every = self._outside if call is None else call.held
            held = every.get(source)
            if held is None:
                held = every[source] = Held()
            cut = text.rfind("\n") + 1
            if not cut and held.size + len(text) <= _HELD:
                held.add(text)
                return
            cut = cut or len(text)
            self._send(call, source, held.take() + text[:cut])
            if cut < len(text):
                held.add(text[cut:])

    def flush(self, source: Source) -> None:
        """Send what the caller's run has printed without a newline."""
        self._flush_held(self._call(), source)

    def _call(self) -> Call | None:
        return None if self._channel is None else calls.current()

    def _flush_held(self, call: Call | None, source: Source) -> None:
        with self._lock:
            held = (self._outside if call is None else call.held).get(source)
            if held is not None and held.size:
                self._send(call, source, held.take())

    def flush_of(self, call: Call) -> None:
        """Send what `call` has printed without a newline."""
        for source in tuple(call.held):
            self._flush_held(call, cast("Source", source))

    def end(self, call: Call | None) -> None:
        """Everything that `call` (or code outside of any run) has printed is on its way after this."""
        for source in ("stdout", "stderr") if (self._outside if call is None else call.held) else ():
            self._flush_held(call, source)
        self.fflush()

    def _send(self, call: Call | None, source: Source, text: str) -> None:
        if self._channel is None:
            _write_all(1 if source == "stdout" else 2, text)
        else:
            number = None if call is None else call.number
            for start in range(0, len(text), _LARGEST):
                self._channel.send(Printed(number, source, utf8(text[start : start + _LARGEST])))


def utf8(text: str) -> bytes:
    """`text` in UTF-8; a lone surrogate, which has no UTF-8, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def _write_all(fd: int, text: str) -> None:
    data = utf8(text)
    while data:
        try:
            data = data[os.write(fd, data) :]
        except OSError:
            return  # the reader is gone, and so is everybody who could be told


def _c_flush() -> Callable[[], object]:
    """A function that flushes the buffers of C's stdio in this process; does nothing where there is no ctypes."""
    try:
        import ctypes

        fflush = ctypes.CDLL(None).fflush
    except (ImportError, OSError, AttributeError, TypeError):
        return lambda: None
    return lambda: fflush(None)


class CapturedStream(io.TextIOBase):
    """A text stream that has what libraries ask of `sys.stdout`; it cannot be closed."""

    encoding = "utf-8"
    errors = "replace"
    newlines = None
    mode = "w"
    line_buffering = True
    write_through = False

    def __init__(self, capture: Capture, source: Source) -> None:
        super().__init__()
        self._capture = capture
        self._source: Source = source
        self._fd = 1 if source == "stdout" else 2
        self.name = f"<{source}>"
        self.buffer = _Bytes(self._fd, "wb", closefd=False)

    def write(self, text: str, /) -> int:
        """Print `text`; gives the number of characters."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._capture.write(self._source, text)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        """Print each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Send text that has no newline yet."""
        self._capture.flush(self._source)

    def close(self) -> None:
        """Flush only: a model that closes its output must not silence the next prediction."""
        self.flush()

    def reconfigure(self, **_: object) -> None:
        """Accepted and without effect: the stream is UTF-8 with lines sent at once."""

    def fileno(self) -> int:
        """1 or 2: the descriptor that child processes inherit."""
        return self._fd

    def isatty(self) -> bool:
        """Always False."""
        return False

    def writable(self) -> bool:
        """Always True."""
        return True


class _Bytes(io.FileIO):
    """`sys.stdout.buffer`: straight to the descriptor, and closing it closes nothing."""

    def close(self) -> None:
        """Accepted and without effect."""
