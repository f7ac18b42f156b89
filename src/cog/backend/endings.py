"""What a worker said of a run, in the words of a prediction's life."""

from __future__ import annotations

from typing import Final

from cog.prediction.events import Done, Ending, OutputFile, Status
from cog.worker.messages import Ended

# Why a worker that is frozen is killed.
FROZEN: Final = (
    "it did not answer any more (it was stopped, or C code in the model held Python's interpreter lock), and one of its "
    "predictions was cancelled or took longer than --predict-timeout"
)

_STATUSES: Final[dict[str, Ending]] = {
    "succeeded": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "canceled": Status.CANCELED,
}


def done_of(message: Ended, at: float) -> Done:
    """The end of a run, at `at` seconds since the epoch."""
    _, status, seconds, payload, error, files, _ = message
    return Done(_STATUSES[status], at, payload, error, seconds, files_of(files))


def files_of(files: list[list[str]]) -> tuple[OutputFile, ...]:
    """The files that a payload names."""
    return tuple(OutputFile(mark, path, name) for mark, path, name in files) if files else ()
