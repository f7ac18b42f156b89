"""What stands between a load and the table: an effort goes in, an outcome comes out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from benchmarks.contestant import Server
from benchmarks.works import Work


class Effort(NamedTuple):
    """How much is measured: rounds, whole seconds of one measurement and of the warming before it (0 when the server is
    warm), chunks of a stream that never waits, of each of many such, of one that waits; bytes of a file, seconds
    of the soak. No round is begun that would probably end later than `limit`, in seconds."""

    rounds: int
    seconds: int
    warm: int
    flood: int
    each: int
    drops: int
    file: int
    soak: int
    limit: int


QUICK = Effort(
    rounds=1, seconds=1, warm=1, flood=10_000, each=400, drops=60, file=32 << 20, soak=8, limit=180
)
FULL = Effort(
    rounds=5, seconds=3, warm=1, flood=10_000, each=1_250, drops=300, file=32 << 20, soak=300, limit=1440
)


class Outcome(NamedTuple):
    """One measurement: the figure in the unit of its row, the share of answers that were no success and so are not part
    of it, and what else is worth telling."""

    figure: float
    refused: float = 0.0
    remark: str = ""


class Load(Protocol):
    """Something that is done to a server and measured."""

    def __call__(self, server: Server, work: Work, effort: Effort) -> Outcome:
        """Measure once.

        Raises:
            ValueError: an answer was wrong, or one failed where none may.
        """
        ...
