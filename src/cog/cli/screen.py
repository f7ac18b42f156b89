"""What a person sees on stderr. Results go to stdout and never pass here."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TextIO

_TICK: Final = 0.1  # seconds between two frames of the live line
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR: Final = "\r\x1b[2K"
_STYLES: Final = {
    "error": "\x1b[31m",
    "warning": "\x1b[33m",
    "success": "\x1b[32m",
    "dim": "\x1b[2m",
    "bold": "\x1b[1m",
}


class Screen:
    """Messages on stderr, with colour and a live line where there is a terminal that takes them.

    Colour and the live line need a terminal and neither NO_COLOR, COG_NO_COLOR, TERM=dumb nor --no-color.
    When stderr is closed, full or read by nobody, messages are dropped: what was asked for is still done.
    """

    def __init__(self, stream: TextIO, *, lively: bool) -> None:
        self._stream = stream
        self.lively = lively
        self._lock = threading.RLock()
        self._line: str | None = None  # the live line, while there is one
        self._column = 0  # what was written last did not end its line

    @classmethod
    def of(cls, environ: Mapping[str, str], *, no_color: bool) -> Screen:
        """The screen of this process."""
        stream = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - None: it is closed
        plain = (
            no_color
            or bool(environ.get("NO_COLOR") or environ.get("COG_NO_COLOR"))
            or environ.get("TERM") == "dumb"
        )
        return cls(stream, lively=not plain and stream.isatty())

    def style(self, text: str, name: str) -> str:
        """`text` in the style `name` (error, warning, success, dim, bold), or as it is."""
        return f"{_STYLES[name]}{text}\x1b[0m" if self.lively and text else text

    def say(self, text: str) -> None:
        """A message."""
        self._put(f"{text}\n")

    def note(self, text: str) -> None:
        """Something less important."""
        self._put(f"{self.style(text, 'dim')}\n")

    def succeed(self, text: str) -> None:
        """What a command has done."""
        self._put(f"{self.style('✔', 'success')} {text}\n" if self.lively else f"{text}\n")

    def warn(self, text: str) -> None:
        """What a person should know though the command goes on."""
        self._put(f"{self.style('⚠', 'warning')} {text}\n" if self.lively else f"warning: {text}\n")

    def fail(self, text: str) -> None:
        """Why the command ends."""
        self._put(f"{self.style('✘', 'error')} {text}\n" if self.lively else f"error: {text}\n")

    def write(self, text: str) -> None:
        """Text of somebody else, such as a model's prints: whole lines or parts of them."""
        if text:
            self._put(text, own=False)

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show on the last line that something goes on, and for how long, until the block ends.

        Gives what changes the text. Without a terminal nothing is shown. Whatever else is written meanwhile stands above it.
        """
        if not self.lively:
            yield lambda changed: None
            return
        shown = [text]
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(shown, ended), daemon=True)
        ticker.start()
        try:
            yield lambda changed: shown.__setitem__(0, changed)
        finally:
            ended.set()
            ticker.join()
            with self._lock:
                if self._line is not None:
                    self._write(_CLEAR)
                self._line = None

    def _tick(self, shown: list[str], ended: threading.Event) -> None:
        began, frame = time.monotonic(), 0
        while not ended.wait(_TICK):
            frame += 1
            passed = f"{time.monotonic() - began:.1f} s"
            room = self._columns() - len(passed) - 4  # a line that wraps could not be cleared
            text = shown[0][: max(0, room)]
            with self._lock:
                self._line = f"{_FRAMES[frame % len(_FRAMES)]} {text} {self.style(passed, 'dim')}"
                if not self._column:
                    self._write(_CLEAR + self._line)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80

    def _put(self, text: str, *, own: bool = True) -> None:
        with self._lock:
            before = _CLEAR if self._line is not None and not self._column else ""
            if own and self._column:
                before += "\n"
            self._column = 0 if text.endswith("\n") else 1
            self._write(before + text + (self._line or "" if not self._column else ""))

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # nobody can be told; Python would try once more at its end, and change the exit code
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
