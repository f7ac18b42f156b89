"""One tree of errors.

An error's class says which HTTP status and which exit code it becomes; its text is written for the person who
reads it at night: what happened, why it usually does, what to do. Errors rise untouched to two places only:
`cog.server.wire` (status) and `cog.cli` (exit code). This module is shared with the model's own environment, so it
imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class CogError(Exception):
    """The root of every error that this project raises on purpose.

    `status` is the HTTP status that the server answers with, `exit_code` what a command ends with, `retry_after` the
    seconds after which the same request is worth another try (None: it never is).
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retry_after: int | None = None


# What a person wrote: configuration, options, the model's code.


class ConfigError(CogError):
    """cog.yaml says something that cannot be followed."""


class ConfigDoesNotExist(ConfigError):
    """No cog.yaml where one is needed."""


class PredictorNotSet(ConfigError):
    """Neither cog.yaml nor the environment names the model to run."""


class SettingError(CogError):
    """A flag or an environment variable has a value that cannot be used."""


class LoadError(CogError):
    """The model's module cannot be imported, or the object that was named is not in it."""


class SignatureError(CogError):
    """The model's `run()` is declared in a way that no request could be checked against."""


class OutlineError(CogError):
    """The model's source cannot be read: no such file, no Python, or nothing of that name in it."""


class InputRefused(CogError):
    """A value has the right shape, but a class of the model's own does not take it: a validator of pydantic's, a
    `__post_init__`, a `Coder`."""


# What a person typed, and what became of it.


class UsageError(CogError):
    """The command line asks for something that cannot be done."""


class InputError(UsageError):
    """The input that was given does not fit the model. `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        one = len(self.problems) == 1
        listed = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(self.problems[0] if one else f"the input does not fit the model:{listed}")


class EnvironmentFailed(CogError):
    """The model's environment cannot be made: no such Python, or its requirements cannot be installed."""


class EngineMissing(CogError):
    """No container engine can be used here."""


class ImageFailed(CogError):
    """An image cannot be built, sent or run."""


class ModelFailed(CogError):
    """The model could not be set up, or its prediction failed or was canceled."""


class ServerUnreachable(CogError):
    """A server that is to run the model does not answer, or is none of Cog's."""


class UnsavedOutput(CogError):
    """A result cannot be written to where it belongs, or fetched from where it lies."""


# What a client asked for.


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request: `loc` is the path to it (`("body", "input", "l", 0)`), `msg` what is wrong.

    `type` is `value_error.missing` for a required field that was not sent and `value_error` otherwise; clients of
    Cog compare these texts.
    """

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class RequestError(CogError):
    """The request cannot be read at all (400)."""

    status = 400


class NotFound(RequestError):
    """Nothing lives at this address, or it was forgotten (404)."""

    status = 404


class MethodNotAllowed(RequestError):
    """The address exists, but not with this method (405)."""

    status = 405


class NotAcceptable(RequestError):
    """The client accepts only an answer that this model cannot give (406)."""

    status = 406


class RequestTimeout(RequestError):
    """The client took too long to send its request (408)."""

    status = 408


class TargetTooLong(RequestError):
    """The target of the request, its path and query, is too long (414)."""

    status = 414


class HeadTooLarge(RequestError):
    """The head of the request has too many bytes or fields (431)."""

    status = 431


class BodyTooLarge(RequestError):
    """The request body is larger than `--max-body` (413)."""

    status = 413


class UnsupportedMediaType(RequestError):
    """The request body is not JSON by its Content-Type (415)."""

    status = 415


class InvalidRequest(RequestError):
    """The request is well-formed, but its content is wrong (422). `problems` names every wrong field at once."""

    status = 422

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'.'.join(map(str, p.loc[1:]))}: {p.msg}" for p in self.problems))


class AtCapacity(CogError):
    """Every place is taken (409): nothing was started, the same request may be sent again."""

    status = 409

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        """`retry_after` is in seconds: when a place is expected to be free."""
        super().__init__(message)
        self.retry_after = retry_after


class TooManySubscribers(CogError):
    """A prediction's events are read by as many clients as there may be (429)."""

    status = 429


class InsufficientStorage(CogError):
    """A file that a client sends cannot be kept (507): usually because the server's disk is full."""

    status = 507


class NotReady(CogError):
    """The model cannot run anything now (503): it is being set up, failed to, or the server is about to end."""

    status = 503

    def __init__(self, message: str, *, retry_after: int | None = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# What goes wrong while a prediction runs. These become the `error` of a failed prediction, never an HTTP status.


class PredictionError(CogError):
    """The prediction cannot go on; its text becomes the prediction's `error`."""


class DownloadError(PredictionError):
    """An input file could not be fetched."""


class UploadError(PredictionError):
    """An output file could not be delivered."""


class OutputError(PredictionError):
    """The model returned something that cannot be turned into JSON or into a file."""


class WorkerDied(PredictionError):
    """The process that ran the model ended before the prediction did."""


class ProtocolError(CogError):
    """The other side of an internal channel sent something that is not in the protocol."""


class StateError(CogError):
    """An event that the table of states does not know: it is refused and changes nothing."""
