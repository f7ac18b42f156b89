"""A connection for which the server does not sleep (`--busy-poll`)."""

from __future__ import annotations

import asyncio

from cog.server.connection import Connection
from cog.server.traffic import Traffic
from cog.worker.busy_poll import BusyPoll


class Eager(Connection):
    """What comes is looked for, as long as something came or went not long ago."""

    def __init__(self, traffic: Traffic, loop: asyncio.AbstractEventLoop, poll: BusyPoll) -> None:
        super().__init__(traffic, loop)
        self._poll = poll

    def data_received(self, data: bytes) -> None:
        """Bytes have come: soon the model has something to say."""
        super().data_received(data)
        self._poll.wake()

    def write(self, data: bytes) -> None:
        """Send to the client, who may have more to ask."""
        super().write(data)
        self._poll.wake()
