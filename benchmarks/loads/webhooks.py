"""Predictions that nobody waits for: `Prefer: respond-async`, a webhook at the start and one at the end to a local receiver.

Client and receiver are one process on one loop, with a parser of their own, so that the server is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

import uvloop

from benchmarks.contestant import Server
from benchmarks.load import Effort, Outcome
from benchmarks.processes import all_processor_seconds
from benchmarks.works import Work

PATIENCE: Final = 30.0  # seconds for the last webhook
PAUSE: Final = 0.002  # seconds before a refused prediction is asked for again
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_THANKS: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Messages:
    """Heads and bodies of HTTP/1.1 out of bytes as they come; each message tells its length."""

    def __init__(self) -> None:
        self._left = b""

    def take(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The messages that are whole now.

        Raises:
            ValueError: one does not tell its length.
        """
        self._left += data
        while (end := self._left.find(b"\r\n\r\n")) >= 0:
            head = self._left[:end]
            found = _LENGTH.search(head)
            if found is None:
                raise ValueError(f"a message without a length: {head[:300]!r}")
            after = end + 4 + int(found[1])
            if len(self._left) < after:
                return
            body, self._left = self._left[end + 4 : after], self._left[after:]
            yield head, body


class Receiver(asyncio.Protocol):
    """One connection on which webhooks come."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._messages = Messages()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        for _, body in self._messages.take(data):
            self._take(body)
            self._transport.write(_THANKS)


class Asker(asyncio.Protocol):
    """One connection on which one prediction after the other is created."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._messages = Messages()
        self._request = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.next()

    def next(self) -> None:
        """Create another one, unless it is time to end."""
        self._request = self._campaign.request(self)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        if self._request:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        for head, body in self._messages.take(data):
            status = int(head[9:12])
            if status == 202:
                continue
            if status not in (409, 429, 503):
                self._campaign.fail(f"a prediction was answered with {status} {body[:300]!r}")
                return
            self._campaign.refused += 1
            asyncio.get_running_loop().call_later(PAUSE, self._send)


class Campaign:
    """All predictions of one measurement: which are out, and which of their webhooks have come."""

    def __init__(self, server: Server, input: object, seconds: float) -> None:
        self._server = server
        self._input = input
        self._ends = time.monotonic() + seconds
        self._out: dict[str, Asker] = {}
        self._started: set[str] = set()
        self._unstarted: set[str] = set()
        self.webhook = ""
        self.refused = 0
        self.completed = 0
        self.created = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def request(self, asker: Asker) -> bytes:
        """The next one to send; none when it is time to end."""
        if time.monotonic() > self._ends:
            self._look()
            return b""
        self.created += 1
        id = f"bench{self._server.mark[:8]}{self.created}"
        self._out[id] = asker
        body = self._server.body(
            self._input, id=id, webhook=self.webhook, webhook_events_filter=["start", "completed"]
        )
        head = (
            f"POST {self._server.path} HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def take(self, body: bytes) -> None:
        """A webhook has come."""
        said = json.loads(body)
        id, status = said["id"], said["status"]
        if status in ("starting", "processing"):
            self._started.add(id)
            self._unstarted.discard(id)
            self._look()
        elif status == "succeeded" and id in self._out:
            asker = self._out.pop(id)
            self.completed += 1
            if id not in self._started:
                self._unstarted.add(id)
            self._started.discard(id)
            asker.next()
        else:
            self.fail(f"a webhook that nobody waits for: {body[:300]!r}")

    def fail(self, why: str) -> None:
        """End it: the figures would mean nothing."""
        if not self.over.done():
            self.over.set_exception(ValueError(why))

    def _look(self) -> None:
        ended = time.monotonic() > self._ends and not self._out and not self._unstarted
        if ended and not self.over.done():
            self.over.set_result(None)

    def missing(self) -> str:
        """What has not come."""
        return f"{len(self._out)} last and {len(self._unstarted)} first webhooks of {self.created} predictions did not come"


@dataclass(frozen=True)
class Webhooks:
    """Predictions per second whose two webhooks have come; so many are on their way at once."""

    outstanding: int = 32

    def __call__(self, server: Server, work: Work, effort: Effort) -> Outcome:
        loop = uvloop.new_event_loop()
        try:
            # Other loads do not warm what sends webhooks.
            loop.run_until_complete(self._run(server, work, 0.5))
            before = all_processor_seconds(server.mark)
            outcome = loop.run_until_complete(self._run(server, work, effort.seconds))
            computed = all_processor_seconds(server.mark) - before
            each = computed / (outcome.figure * effort.seconds)
            return outcome._replace(remark=f"{outcome.remark}, processor {each * 1e6:,.0f} µs a prediction")
        finally:
            loop.close()

    async def _run(self, server: Server, work: Work, seconds: float) -> Outcome:
        loop = asyncio.get_running_loop()
        campaign = Campaign(server, work.inputs[0], seconds)
        receiver = await loop.create_server(lambda: Receiver(campaign.take), "127.0.0.1", 0)
        campaign.webhook = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
        begun = time.monotonic()
        askers = [
            await loop.create_connection(lambda: Asker(campaign), "127.0.0.1", server.port)
            for _ in range(self.outstanding)
        ]
        try:
            await asyncio.wait_for(campaign.over, seconds + PATIENCE)
        except asyncio.TimeoutError:
            raise ValueError(campaign.missing()) from None
        finally:
            for transport, _ in askers:
                transport.close()
            receiver.close()
        rate = campaign.completed / (time.monotonic() - begun)
        share = campaign.refused / (campaign.refused + campaign.created)
        return Outcome(rate, share, f"{2 * campaign.completed:,} webhooks")
