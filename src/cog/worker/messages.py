"""The words of the channel, written down once: what each frame holds, how it is made and how it is read.

Down the data socket: `Load`, then `Start` or `StartBatch` for each run, and `Look`. Up: `Ready` or `Broken`, then
`Printed`, `PutOut`, `Measured` and `Ended`. The control socket carries `Cancel`, `AskHealth` and `Ping` down, `TooLate`,
`Healthy` and `Alive` up.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring_ascii
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from cog.errors import ProtocolError
from cog.worker.frames import Frame, Header, header_text, pack

Source: TypeAlias = Literal["stdout", "stderr"]
Ending: TypeAlias = Literal["succeeded", "failed", "canceled"]

# The exit code of a worker whose sockets were closed, or read, by somebody else in its process: then it can say
# nothing any more. No program that is known to us ends with it.
CHANNEL_BROKEN: Final = 213


class Load(NamedTuple):
    """Set the model up. `max_concurrency` is what COG_MAX_CONCURRENCY or cog.yaml says, None for nothing.

    With `train` the model is one that is trained: its method is train(). With `survey` only its signature is wanted:
    it is imported, but neither made nor set up, and gets no runs.
    """

    reference: str
    folder: str
    max_concurrency: int | None
    train: bool = False
    survey: bool = False

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "load", **self._asdict()}))


class Start(NamedTuple):
    """Run the model. Runs are numbered upwards; `payload` is the input as JSON text."""

    run: int
    folder: str
    context: dict[str, str]
    payload: bytes

    def pack(self) -> bytes:
        """The message as a frame. What a run without a context says is written by hand: this is the hot path."""
        if not self.context:
            return pack(
                b'{"kind":"start","run":%d,"folder":%b}'
                % (self.run, encode_basestring_ascii(self.folder).encode("ascii")),
                self.payload,
            )
        header: Header = {"kind": "start", **self._asdict()}
        del header["payload"]
        return pack(header_text(header), self.payload)


class StartBatch(NamedTuple):
    """Run the model once for several predictions. `payload` is the list of their inputs; `members` has the folder and the
    context of each. What concerns one of them carries the number of the run, and 1 for the first, 2 for the second, more;
    what concerns all, and the end of the run, the number of the run itself."""

    run: int
    members: list[tuple[str, dict[str, str]]]
    payload: bytes

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "batch", "run": self.run, "members": self.members}), self.payload)


class Look(NamedTuple):
    """From now on look for more, for so many seconds after something has come, before you sleep; 0: sleep at once."""

    seconds: float

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "look", "seconds": self.seconds}))


class Cancel(NamedTuple):
    """End a run. Answered exactly once: by its `Ended` with `canceled`, or by `TooLate`."""

    run: int

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "cancel", "run": self.run}))


class AskHealth(NamedTuple):
    """Run the model's health check; `Healthy` of the same `seq` answers."""

    seq: int

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "health", "seq": self.seq}))


class Ping(NamedTuple):
    """Answer with `Alive`."""

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(b'{"kind":"ping"}')


class Ready(NamedTuple):
    """Setup is done; the signature as `cog.signature.wire` writes it."""

    signature: dict[str, object]

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "ready", "signature": self.signature}))


class Broken(NamedTuple):
    """Setup failed, and this worker is about to end."""

    error: str

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "broken", "error": self.error}))


class Printed(NamedTuple):
    """Text that Python code printed, in UTF-8. `run` is None outside of any."""

    run: int | None
    source: Source
    text: bytes

    def pack(self) -> bytes:
        """The message as a frame."""
        # Written by hand: models print a million lines.
        run = b"null" if self.run is None else b"%d" % self.run
        return pack(b'{"kind":"log","run":%b,"source":"%b"}' % (run, self.source.encode()), self.text)


class PutOut(NamedTuple):
    """One chunk that the model yielded; `files` are lists of mark, path and name."""

    run: int
    files: list[list[str]]
    payload: bytes

    def pack(self) -> bytes:
        """The message as a frame. What names no files is written by hand: models yield a million chunks."""
        if not self.files:
            return pack(b'{"kind":"output","run":%d}' % self.run, self.payload)
        return pack(header_text({"kind": "output", "run": self.run, "files": self.files}), self.payload)


class Measured(NamedTuple):
    """A metric that the model recorded."""

    run: int
    name: str
    value: object
    mode: str

    def pack(self) -> bytes:
        """The message as a frame."""
        header: Header = {"kind": "metric", "run": self.run, "name": self.name, "mode": self.mode}
        return pack(header_text(header), json.dumps(self.value).encode())


class Ended(NamedTuple):
    """The end of a run. `seconds` is the model's own time; `payload` is None when it returned nothing to send."""

    run: int
    status: Ending
    seconds: float
    payload: bytes | None
    error: str | None
    files: list[list[str]]
    canceled: bool

    def pack(self) -> bytes:
        """The message as a frame. What a plain run says is written by hand: this is the hot path."""
        if self.error is None and not self.files and not self.canceled and self.payload is not None:
            head = b'{"kind":"done","run":%d,"status":"%s","time":%.9f}' % (
                self.run,
                self.status.encode(),
                self.seconds,
            )
            return pack(head, self.payload)
        header: Header = {"kind": "done", **self._asdict()}
        header["time"] = header.pop("seconds")
        header["payload"] = self.payload is not None
        return pack(header_text(header), self.payload or b"")


class TooLate(NamedTuple):
    """The answer to a cancel of a run that had ended."""

    run: int

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "late", "run": self.run}))


class Healthy(NamedTuple):
    """The answer to `AskHealth`; `message` is what the check raised."""

    seq: int
    healthy: bool
    message: str | None

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(header_text({"kind": "healthy", **self._asdict()}))


class Alive(NamedTuple):
    """The answer to `Ping`."""

    def pack(self) -> bytes:
        """The message as a frame."""
        return pack(b'{"kind":"alive"}')


_STATUSES: Final = ("succeeded", "failed", "canceled")
_START: Final = re.compile(rb'\{"kind":"start","run":(\d{1,18}),"folder":"([^"\\\x00-\x1f\x7f-\xff]*)"\}')
_NO_FILES: Final[list[list[str]]] = []

Down: TypeAlias = Load | Start | StartBatch | Look | Cancel | AskHealth | Ping
Up: TypeAlias = Ready | Broken | Printed | PutOut | Measured | Ended | TooLate | Healthy | Alive
Message: TypeAlias = Down | Up


def read_up(frame: Frame) -> Up:
    """What a worker said.

    Raises:
        ProtocolError: it is not in the protocol.
    """
    header, payload = frame
    if header["kind"] == "done":
        return _read_ended(header, payload)
    if header["kind"] == "output" and type(run := header.get("run")) is int:  # models yield a million
        return PutOut(run, _files(header) if "files" in header else _NO_FILES, payload)
    match header:
        case {"kind": "log", "run": int() | None as run, "source": "stdout" | "stderr" as source}:
            return Printed(run, source, payload)
        case {"kind": "metric", "run": int(run), "name": str(name), "mode": str(mode)}:
            return Measured(run, name, _value(payload), mode)
        case {"kind": "late", "run": int(run)}:
            return TooLate(run)
        case {"kind": "alive"}:
            return Alive()
        case {"kind": "healthy", "seq": int(seq), "healthy": bool(healthy), "message": str() | None as said}:
            return Healthy(seq, healthy, said)
        case {"kind": "ready", "signature": dict(signature)}:
            return Ready(signature)
        case {"kind": "broken", "error": str(error)}:
            return Broken(error)
        case _:
            raise ProtocolError(f"a worker sent {_shown(header)}")


def quick_start(head: bytes) -> Header | None:
    """The header of a `Start` as it mostly is; None for any other."""
    found = _START.fullmatch(head)
    if found is None:
        return None
    return {"kind": "start", "run": int(found[1]), "folder": found[2].decode("ascii")}


def _read_ended(header: Header, payload: bytes) -> Ended:
    """An `Ended`, without pattern matching, which costs 2 us a time: this is the hot path."""
    run, status, seconds = header.get("run"), header.get("status"), header.get("time")
    if type(run) is not int or type(seconds) is not float or status not in _STATUSES:
        raise ProtocolError(f"a worker sent {_shown(header)}")
    error = header.get("error")
    return Ended(
        run,
        status,
        seconds,
        payload if header.get("payload", True) else None,
        error if isinstance(error, str) else None,
        _files(header),
        header.get("canceled") is True,
    )


def read_down(frame: Frame) -> Down:
    """What the server said.

    Raises:
        ProtocolError: it is not in the protocol.
    """
    header, payload = frame
    if header["kind"] == "start":  # before the others, and without pattern matching: this is the hot path
        run, folder = header.get("run"), header.get("folder")
        if isinstance(run, int) and isinstance(folder, str):
            return Start(run, folder, cast("dict[str, str]", header.get("context", {})), payload)
    match header:
        case {"kind": "batch", "run": int(run), "members": list(members)}:
            return StartBatch(run, cast("list[tuple[str, dict[str, str]]]", members), payload)
        case {"kind": "cancel", "run": int(run)}:
            return Cancel(run)
        case {"kind": "health", "seq": int(seq)}:
            return AskHealth(seq)
        case {"kind": "look", "seconds": int() | float() as seconds}:
            return Look(float(seconds))
        case {"kind": "ping"}:
            return Ping()
        case {
            "kind": "load",
            "reference": str(reference),
            "folder": str(folder),
            "max_concurrency": int() | None as most,
        }:
            train, survey = header.get("train") is True, header.get("survey") is True
            return Load(reference, folder, most, train, survey)
        case _:
            raise ProtocolError(f"the server sent {_shown(header)}")


def _files(header: Header) -> list[list[str]]:
    files = header.get("files")
    if files is None:
        return _NO_FILES
    if not isinstance(files, list) or not all(isinstance(file, list) and len(file) == 3 for file in files):
        raise ProtocolError(f"a frame names files as {str(files)[:200]!r}")
    return files


def _value(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the value of a metric is not JSON: {error}") from error


def _shown(header: Header) -> str:
    return repr(header)[:200]
