"""How long a client may keep the server waiting."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

# Bytes per second that a body has to bring on average.
SLOWEST: Final = 1024


class Stage(enum.Enum):
    """What the server waits for."""

    NOTHING = enum.auto()
    REQUEST = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    TAKING = enum.auto()  # of its answer by the client
    LEAVING = enum.auto()


class Progress(NamedTuple):
    """`number` changes when the client gets on; `received` counts the bytes of its bodies."""

    stage: Stage
    number: int
    received: int


class Patience:
    """Compares what one sweep has seen with what the next one sees, so that a request itself costs nothing."""

    def __init__(self, client_timeout: float, keep_alive: float, now: float) -> None:
        """Seconds for a client that has begun something, and for one that has not."""
        self._client_timeout = client_timeout
        self._keep_alive = keep_alive
        self._seen = Progress(Stage.NOTHING, 0, 0)
        self._since = now

    @property
    def since(self) -> float:
        """When it was first seen as it was seen last."""
        return self._since

    def exhausted(self, progress: Progress, now: float) -> bool:
        """True when it is over."""
        if progress[:2] != self._seen[:2]:
            self._seen, self._since = progress, now
            return False
        stage = progress.stage
        limit = self._keep_alive if stage is Stage.REQUEST else self._client_timeout
        if stage is Stage.NOTHING or now - self._since < limit:
            return False
        if stage is Stage.BODY and progress.received - self._seen.received >= SLOWEST * limit:
            self._seen, self._since = progress, now
            return False
        return True
