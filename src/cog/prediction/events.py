"""What can happen to a prediction. One stream of these comes up from the backend; everybody listens to it."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple, TypeAlias


class Status(str, Enum):
    """Where a prediction stands; the values are what clients see."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    __hash__ = str.__hash__  # Enum's own is written in Python, and every event looks a state up

    @property
    def terminal(self) -> bool:
        """True when nothing can happen any more."""
        return self in TERMINAL


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})

Ending: TypeAlias = Literal[Status.SUCCEEDED, Status.FAILED, Status.CANCELED]
Source: TypeAlias = Literal["stdout", "stderr"]


class OutputFile(NamedTuple):
    """A file that the model put out, secured in the prediction's folder before the event that names it.

    `mark` stands in the payload, as a JSON string, where the file's URL belongs; `name` is the file's name as the
    model gave it.
    """

    mark: str
    path: str
    name: str


class Started(NamedTuple):
    """The model was handed the input. `at` is in seconds since the epoch."""

    at: float


class Log(NamedTuple):
    """Text that the model printed, as it came: lines, parts of lines or several of them."""

    text: str
    source: Source


class Output(NamedTuple):
    """One chunk that the model yielded, as JSON text. `files` is empty once they were published."""

    payload: bytes
    files: tuple[OutputFile, ...] = ()


class Metric(NamedTuple):
    """A figure that the model recorded; `value` is JSON, `mode` one of replace, increment and append."""

    name: str
    value: object
    mode: str = "replace"


class Done(NamedTuple):
    """The end. `payload` is the returned value as JSON text (None for a model that yields, or that did not succeed).

    `predict_time` is the model's own time in seconds, None when it never ran; `at` is in seconds since the epoch.
    `unseen` says that the model never got the order: its worker was dying, so that another may run it instead.
    """

    status: Ending
    at: float
    payload: bytes | None = None
    error: str | None = None
    predict_time: float | None = None
    files: tuple[OutputFile, ...] = ()
    unseen: bool = False


Event: TypeAlias = Started | Log | Output | Metric | Done
