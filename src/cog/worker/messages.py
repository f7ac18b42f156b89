"""The words of the channel, written down once: what each frame holds, how it is made and how it is read.

Down the data socket: `Load`, then `Start` for each run. Up: `Ready` or `Broken`, then `Printed`, `PutOut`,
`Measured` and `Ended`. The control socket carries `Cancel` and `AskHealth` down, `TooLate` and `Healthy` up.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, cast

from cog.errors import ProtocolError
from cog.worker.frames import Frame, Header

Source: TypeAlias = Literal["stdout", "stderr"]
Ending: TypeAlias = Literal["succeeded", "failed", "canceled"]


class Load(NamedTuple):
    """Set the model up. `max_concurrency` is what COG_MAX_CONCURRENCY says, None for nothing."""

    reference: str
    folder: str
    max_concurrency: int | None

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "load", **self._asdict()}, b"")


class Start(NamedTuple):
    """Run the model. Runs are numbered upwards; `payload` is the input as JSON text."""

    run: int
    folder: str
    context: dict[str, str]
    payload: bytes

    def frame(self) -> Frame:
        """The message as a frame."""
        header: Header = {"kind": "start", "run": self.run, "folder": self.folder}
        if self.context:
            header["context"] = self.context
        return Frame(header, self.payload)


class Cancel(NamedTuple):
    """End a run. Answered exactly once: by its `Ended` with `canceled`, or by `TooLate`."""

    run: int

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "cancel", "run": self.run}, b"")


class AskHealth(NamedTuple):
    """Run the model's health check; `Healthy` of the same `seq` answers."""

    seq: int

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "health", "seq": self.seq}, b"")


class Ready(NamedTuple):
    """Setup is done; the signature as `cog.signature.wire` writes it."""

    signature: dict[str, object]

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "ready", "signature": self.signature}, b"")


class Broken(NamedTuple):
    """Setup failed, and this worker is about to end."""

    error: str

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "broken", "error": self.error}, b"")


class Printed(NamedTuple):
    """Text that Python code printed, in UTF-8. `run` is None outside of any."""

    run: int | None
    source: Source
    text: bytes

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "log", "run": self.run, "source": self.source}, self.text)


class PutOut(NamedTuple):
    """One chunk that the model yielded; `files` are lists of mark, path and name."""

    run: int
    files: list[list[str]]
    payload: bytes

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "output", "run": self.run, "files": self.files}, self.payload)


class Measured(NamedTuple):
    """A metric that the model recorded."""

    run: int
    name: str
    value: object
    mode: str

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "metric", **self._asdict()}, b"")


class Ended(NamedTuple):
    """The end of a run. `seconds` is the model's own time; `payload` is None when it returned nothing to send."""

    run: int
    status: Ending
    seconds: float
    payload: bytes | None
    error: str | None
    files: list[list[str]]
    canceled: bool

    def frame(self) -> Frame:
        """The message as a frame; what is empty is left out, for this is the hot path."""
        header: Header = {"kind": "done", "run": self.run, "status": self.status, "time": self.seconds}
        if self.error is not None:
            header["error"] = self.error
        if self.files:
            header["files"] = self.files
        if self.canceled:
            header["canceled"] = True
        if self.payload is None:
            header["empty"] = True
        return Frame(header, self.payload or b"")


class TooLate(NamedTuple):
    """The answer to a cancel of a run that had ended."""

    run: int

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "late", "run": self.run}, b"")


class Healthy(NamedTuple):
    """The answer to `AskHealth`; `message` is what the check raised."""

    seq: int
    healthy: bool
    message: str | None

    def frame(self) -> Frame:
        """The message as a frame."""
        return Frame({"kind": "healthy", **self._asdict()}, b"")


Down: TypeAlias = Load | Start | Cancel | AskHealth
Up: TypeAlias = Ready | Broken | Printed | PutOut | Measured | Ended | TooLate | Healthy
Message: TypeAlias = Down | Up


def read_up(frame: Frame) -> Up:
    """What a worker said.

    Raises:
        ProtocolError: it is not in the protocol.
    """
    header, payload = frame
    match header:
        case {
            "kind": "done",
            "run": int(run),
            "status": "succeeded" | "failed" | "canceled" as status,
            "time": float(seconds),
        }:
            error = header.get("error")
            body = None if header.get("empty") else payload
            return Ended(
                run,
                status,
                seconds,
                body,
                error if isinstance(error, str) else None,
                _files(header),
                header.get("canceled") is True,
            )
        case {"kind": "log", "run": int() | None as run, "source": "stdout" | "stderr" as source}:
            return Printed(run, source, payload)
        case {"kind": "output", "run": int(run)}:
            return PutOut(run, _files(header), payload)
        case {"kind": "metric", "run": int(run), "name": str(name), "value": value, "mode": str(mode)}:
            return Measured(run, name, value, mode)
        case {"kind": "late", "run": int(run)}:
            return TooLate(run)
        case {
            "kind": "healthy",
            "seq": int(seq),
            "healthy": bool(healthy),
            "message": str() | None as message,
        }:
            return Healthy(seq, healthy, message)
        case {"kind": "ready", "signature": dict(signature)}:
            return Ready(signature)
        case {"kind": "broken", "error": str(error)}:
            return Broken(error)
        case _:
            raise ProtocolError(f"a worker sent {_shown(header)}")


def read_down(frame: Frame) -> Down:
    """What the server said.

    Raises:
        ProtocolError: it is not in the protocol.
    """
    header, payload = frame
    match header:
        case {"kind": "start", "run": int(run), "folder": str(folder)}:
            return Start(run, folder, cast("dict[str, str]", header.get("context", {})), payload)
        case {"kind": "cancel", "run": int(run)}:
            return Cancel(run)
        case {"kind": "health", "seq": int(seq)}:
            return AskHealth(seq)
        case {
            "kind": "load",
            "reference": str(reference),
            "folder": str(folder),
            "max_concurrency": int() | None as most,
        }:
            return Load(reference, folder, most)
        case _:
            raise ProtocolError(f"the server sent {_shown(header)}")


def _files(header: Header) -> list[list[str]]:
    files = header.get("files", [])
    if not isinstance(files, list) or not all(isinstance(file, list) and len(file) == 3 for file in files):
        raise ProtocolError(f"a frame names files as {str(files)[:200]!r}")
    return files


def _shown(header: Header) -> str:
    return repr(header)[:200]
