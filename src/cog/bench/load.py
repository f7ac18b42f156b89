"""Load: clients that each send their next request as soon as the last one was answered, over the standard library."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

from cog.bench.answers import Answer, Kind, Outcome, Reader, judge
from cog.bench.figures import Step, Tally
from cog.bench.plan import Pace, Setup
from cog.client.connection import Address

_LOOK: Final = 0.2  # seconds between two looks at how it goes
# A client that was refused waits as long as the last answer took, within these seconds: one that asked at once again
# would take the processor from the model.
_PAUSE: Final = (0.01, 1.0)
_AGAIN: Final = 0.1  # seconds before another try to connect
_PATIENCE: Final = 3  # times as long as it should take, for a first answer
_LEAVE: Final = 2.0  # seconds, or as long as the step, for what is on its way when a step ends

Show = Callable[[Tally, float], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and what: `body` is a whole request's."""

    address: Address
    path: str
    body: bytes

    def request(self) -> bytes:
        """The bytes of one request."""
        where = self.address
        host = where.host if where.port is None else f"{where.host}:{where.port}"
        head = (
            f"POST {where.prefix}{self.path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("latin-1") + self.body


def measure(
    target: Target, setup: Setup, concurrency: int, slots: int | None, pace: Pace, show: Show
) -> Step:
    """Load the server with `concurrency` requests at a time, and say what came of it. `show` is called now and then
    with what was counted so far and since when; what it raises ends the measurement."""
    with _Signals() as signals:

        def look(tally: Tally, began: float) -> None:
            if signals.came:
                raise _Stopped
            show(tally, began)

        with contextlib.suppress(_Stopped):
            return asyncio.run(_Load(target, pace).run(setup, concurrency, slots, look))
    raise AssertionError("a signal came, and what handles it did nothing")


class _Stopped(Exception):
    """A signal has come."""


class _Signals:
    """Ctrl-C and SIGTERM wait for the next look, or for the end: the exceptions that they raise may hit asyncio where it makes
    or closes a loop, and nobody knows in what state that is then.
    """

    def __init__(self) -> None:
        self.came: list[int] = []
        self._before: dict[int, Callable[[int, FrameType | None], object]] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if callable(before) and threading.current_thread() is threading.main_thread():
                self._before[number] = before
                signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came.append(number)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        for number in self.came:
            self._before[number](number, None)


class _Load:
    """The clients of one step, and what they share."""

    def __init__(self, target: Target, pace: Pace) -> None:
        self.request = target.request()
        self.tally = Tally()
        self.pause = _PAUSE[0]
        self.going = True
        self._address = target.address
        self._pace = pace
        self._counting = False
        self._enough = asyncio.Event()

    def take(self, outcome: Outcome, latency: float, now: float) -> None:
        """An outcome of a client."""
        if outcome.kind is Kind.ANSWERED:
            self.pause = min(max(latency, _PAUSE[0]), _PAUSE[1])
        if self._counting and self.going:
            self.tally.take(outcome, latency, now)
            if self._pace.requests is not None and self.tally.count >= self._pace.requests:
                self.going = False
                self._enough.set()

    async def run(self, setup: Setup, concurrency: int, slots: int | None, show: Show) -> Step:
        """One step."""
        began = time.perf_counter()
        clients = [asyncio.create_task(self._client()) for _ in range(concurrency)]
        try:
            if self._pace.warm_up:
                await self._wait(self._pace.warm_up, lambda: show(self.tally, time.perf_counter()))
                began = time.perf_counter()
            self._counting, used = True, time.process_time()
            await self._measure(lambda: show(self.tally, began))
            ended = time.perf_counter()
            generator = (time.process_time() - used) / (ended - began)
            self.going = False
            await asyncio.wait(clients, timeout=max(_LEAVE, min(ended - began, self._pace.seconds)))
            return self.tally.step(setup, concurrency, slots, (began, ended), generator)
        finally:
            self.going = False
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)

    async def _measure(self, look: Callable[[], None]) -> None:
        """Until it was long enough: not before something came, unless that takes too long."""
        if self._pace.requests is not None:
            await self._wait(None, look)
            return
        for _ in range(_PATIENCE):
            await self._wait(self._pace.seconds, look)
            if self.tally.count:
                return

    async def _wait(self, seconds: float | None, look: Callable[[], None]) -> None:
        """Return after `seconds`, or when there were enough requests."""
        deadline = None if seconds is None else time.perf_counter() + seconds
        while not self._enough.is_set():
            left = _LOOK if deadline is None else deadline - time.perf_counter()
            if left <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._enough.wait(), min(left, _LOOK))
            look()

    async def _client(self) -> None:
        """Ask until the end, on as few connections as the server lets."""
        while self.going:
            try:
                connection = await self._connect()
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
                now = time.perf_counter()
                self.take(Outcome(Kind.FAILED, f"no connection: {reason}"), 0.0, now)
                await asyncio.sleep(_AGAIN)
                continue
            try:
                await connection.closed
                if connection.failed:
                    await asyncio.sleep(_AGAIN)
            finally:
                connection.close()

    async def _connect(self) -> _Connection:
        loop, where = asyncio.get_running_loop(), self._address
        if where.socket is not None:
            return (await loop.create_unix_connection(lambda: _Connection(self, loop), where.socket))[1]
        tls = ssl.create_default_context() if where.secure else None
        port = where.port or (443 if where.secure else 80)
        return (await loop.create_connection(lambda: _Connection(self, loop), where.host, port, ssl=tls))[1]


class _Connection(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next. Without a task for each: the processor that clients take
    is the model's."""

    def __init__(self, load: _Load, loop: asyncio.AbstractEventLoop) -> None:
        self._load = load
        self._loop = loop
        self._reader = Reader()
        self._sent = 0.0
        self._waiting = False  # for an answer
        self._transport: asyncio.Transport | None = None
        self.failed = False  # it ended without the answer that was due
        self.closed: asyncio.Future[None] = loop.create_future()

    def close(self) -> None:
        """Hang up, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        try:
            answer = self._reader.feed(data)
        except ValueError as error:
            self._fail(f"what it answers is not HTTP: {error}")
            self.close()
            return
        if answer is not None:
            self._took(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has hung up, or we have."""
        answer = self._reader.end() if exc is None else None
        if answer is not None and self._waiting:
            self._took(answer)
        elif self._waiting:
            self._fail("the server hung up without an answer")
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._load.going:
            self._transport.close()
            return
        self._waiting, self._sent = True, time.perf_counter()
        self._transport.write(self._load.request)

    def _took(self, answer: Answer) -> None:
        now = time.perf_counter()
        self._waiting = False
        outcome = judge(answer)
        self._load.take(outcome, now - self._sent, now)
        if self._transport is None:
            return
        if answer.closes:
            self._transport.close()
        elif outcome.kind is Kind.ANSWERED:
            self._send()
        else:
            self._loop.call_later(self._load.pause, self._send)

    def _fail(self, text: str) -> None:
        self._waiting, self.failed = False, True
        now = time.perf_counter()
        self._load.take(Outcome(Kind.FAILED, text), now - self._sent, now)
