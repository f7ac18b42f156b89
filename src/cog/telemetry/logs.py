"""What the server writes to stderr: its own log, and everything that the model prints.

On a terminal both are text for people; elsewhere one JSON object per line, in the form that Cog's servers
write: `{"timestamp", "level", "fields": {"message", ...}, "target"}`. What the model prints does not pass
through the levels of the log: it always appears.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import stat
import sys
import threading
import time
import traceback
from datetime import datetime
from typing import Final, Protocol, TextIO

from cog.prediction.record import timestamp

# Seconds that a line waits for the reader of a full pipe; then lines are dropped, and counted, until there is room
# again. A reader that is that slow must not hold up predictions.
PATIENCE: Final = 1.0
# Bytes that a pipe or terminal takes at once when it says that it has room (PIPE_BUF on Linux): a larger write blocks.
_PIECE: Final = 4096

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
_COLOURS: Final = {"DEBUG": "\x1b[2m", "INFO": "\x1b[32m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m"}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PLAIN: Final = re.compile(r"[\w.:/@+,\-]+")

_log: Final = logging.getLogger("cog.telemetry")
_text: Final = json.JSONEncoder(ensure_ascii=False).encode


def configure(level: str, format: str, stream: TextIO | None) -> None:
    """Send the log of this process to `stream`, and what models print too. May be called again.

    `level` is debug, info, warning, error or off and holds for our own messages; libraries speak from warning on.
    `format` is `json`, `console`, or `auto`: console on a terminal, else json. None as stream: there is no
    stderr, and nothing is written.
    """
    global _output
    terminal = _is_terminal(stream)
    sink = Sink(stream)
    plain = os.environ.get("NO_COLOR") or os.environ.get("COG_NO_COLOR") or os.environ.get("TERM") == "dumb"
    console = format == "console" or (format == "auto" and terminal)
    _output = Console(sink, terminal=terminal, colour=terminal and not plain) if console else Lines(sink)
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(_Handler(_output))
    number = _LEVELS[level]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("cog").setLevel(number)
    logging.captureWarnings(True)  # Python would print them on stderr itself, between our lines


def model_output(
    text: str, *, source: str, prediction_id: str | None, worker: int | None, setup: bool
) -> None:
    """Write `text`, which the model printed: whole lines, parts of lines or several of them.

    `source` is stdout or stderr. It belongs to the prediction `prediction_id`, to `setup()`, or, when it is
    known to neither, to the worker as a whole. Never raises, whatever became of stderr.
    """
    if text:
        _output.model(text, source=source, prediction_id=prediction_id, worker=worker, setup=setup)


class Sink:
    """The stream that everything goes to, from any thread: one write is one system call where the kernel
    allows.

    It writes to the file itself rather than to Python's buffer: what cannot be written must not come up
    again when the process ends (Python would then exit with 120).
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._piece = _piece(stream)
        self._lock = threading.RLock()  # a signal handler may log while its own thread is writing
        self._patience = PATIENCE
        self._torn = False  # the last line could be written in part only
        self._dropped = 0

    def write(self, text: str) -> None:
        """Write all of `text`, or as much as the stream takes."""
        with self._lock:
            try:
                self._tell_dropped()
                self._write(text)
            except (OSError, ValueError):
                # The stream was closed or its reader is gone: there is no place left to tell anybody.
                return

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            number = self._stream.fileno()
        except OSError:  # a stream in memory has no number
            self._stream.write(text)
            self._stream.flush()
            return
        data = (b"\n" if self._torn else b"") + text.encode("utf-8", "backslashreplace")
        rest = memoryview(data)
        while rest:
            if not select.select([], [number], [], self._patience)[1]:
                self._torn |= len(rest) < len(data)
                self._patience = 0.0
                self._dropped += 1
                return
            with contextlib.suppress(BlockingIOError):  # another process has taken the room
                rest = rest[os.write(number, rest[: self._piece]) :]
        self._torn, self._patience = False, PATIENCE

    def _tell_dropped(self) -> None:
        """Say how much is missing, where it is missing, once there is room again."""
        if self._dropped and self._stream is not None and select.select([], [self._stream], [], 0)[1]:
            dropped, self._dropped = self._dropped, 0
            _log.warning("%d messages are missing here: nobody read stderr, and it was full", dropped)


class Output(Protocol):
    """A way to write down records of the log and what the model prints."""

    def record(self, record: logging.LogRecord) -> None:
        """Write one record of the log."""

    def model(
        self, text: str, *, source: str, prediction_id: str | None, worker: int | None, setup: bool
    ) -> None:
        """Write what a model printed."""


class Lines:
    """One JSON object per line."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def record(self, record: logging.LogRecord) -> None:
        """Write one record; a traceback goes to `fields.exception`."""
        message = _message(record)
        fields: dict[str, object] = {"message": message} | _fields(record) | {"message": message}
        if (exception := _exception(record)) is not None:
            fields["exception"] = exception
        known = ",".join(f"{_text(str(key))}:{_json(value)}" for key, value in fields.items())
        self._sink.write(
            f'{{"timestamp":{timestamp(record.created)},"level":"{record.levelname}",'
            f'"fields":{{{known}}},"target":{_text(record.name)}}}\n'
        )

    def model(
        self, text: str, *, source: str, prediction_id: str | None, worker: int | None, setup: bool
    ) -> None:
        """Write an object for each line of `text`, all in one go; what surrounds the line is made once."""
        head = f'{{"timestamp":{timestamp(time.time())},"level":"INFO","fields":{{"message":'
        known = f',"source":{_text(source)}'
        if prediction_id is not None:
            known += f',"prediction_id":{_text(prediction_id)}'
        if worker is not None:
            known += f',"worker":{worker}'
        target = "setup" if setup else "prediction" if prediction_id is not None else "worker"
        tail = f'{known}}},"target":"cog.{target}"}}\n'
        lines = text.removesuffix("\n").split("\n")
        self._sink.write(head + f"{tail}{head}".join(map(_text, lines)) + tail)


class Console:
    """Text for people; what the model prints stands there as it was printed."""

    def __init__(self, sink: Sink, *, terminal: bool, colour: bool) -> None:
        self._sink = sink
        self._terminal = terminal
        self._colour = colour
        self._lock = threading.RLock()
        # Whose text stands on a line that has not ended yet: nobody else may write on.
        self._open: tuple[object, ...] | None = None

    def record(self, record: logging.LogRecord) -> None:
        """Write time, level, message, key=value for what the message has not told already; a traceback below."""
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = record.levelname
        told = record.__dict__.get("told", ())
        pairs = "".join(
            f" {key}={_value(value)}" for key, value in _fields(record).items() if key not in told
        )
        if self._colour:
            level = f"{_COLOURS.get(level, '')}{level:<7}\x1b[0m"
            at, pairs = f"\x1b[2m{at}\x1b[0m", f"\x1b[2m{pairs}\x1b[0m" if pairs else ""
        message = _printable(_message(record)).replace("\n", "\n    ")
        exception = _exception(record)
        below = "" if exception is None else _printable(exception).rstrip("\n") + "\n"
        # A terminal shows Ctrl-C as ^C, wherever the cursor stands: what answers it is written over that.
        begin = "\r" if self._terminal and record.__dict__.get("echoed") else ""
        self._write(f"{begin}{at} {level:<7} {message}{pairs}\n{below}", None)

    def model(
        self, text: str, *, source: str, prediction_id: str | None, worker: int | None, setup: bool
    ) -> None:
        """Write `text` as it is, on a line of its own where another one's is not finished."""
        self._write(text, (source, prediction_id, worker, setup))

    def _write(self, text: str, author: tuple[object, ...] | None) -> None:
        with self._lock:
            begin = "\n" if self._open is not None and self._open != author else ""
            self._open = None if text.endswith("\n") else author
            self._sink.write(begin + text)


class _Handler(logging.Handler):
    """Hands the records of the standard library's logging to an output."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.record(record)


def _piece(stream: TextIO | None) -> int:
    """How many bytes may be written to a stream at once when it has room."""
    try:
        regular = stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # it has no number, or is closed
        regular = False
    return sys.maxsize if regular else _PIECE


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments of any kind may fail; the record is then shown raw
        return f"{record.msg!r} cannot be put together with {record.args!r}: {error}"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = record.__dict__.get("fields")
    return fields if isinstance(fields, dict) else {}


def _exception(record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info))
    return record.stack_info


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    except (ValueError, TypeError, RecursionError):  # NaN, odd keys or a loop: shown as Python shows them
        return _text(repr(value))


def _value(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return _printable(_json(value))


def _printable(text: str) -> str:
    """`text` without control characters: what a client sent must not move an operator's cursor."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


_output: Output = Lines(Sink(sys.stderr))
