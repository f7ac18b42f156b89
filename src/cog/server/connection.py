"""One client's connection: bytes to requests, answered in their order, and how long a client may take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from cog.errors import CogError, RequestError, RequestTimeout
from cog.server.exchange import Dates, Exchange
from cog.server.heads import Known
from cog.server.patience import SLOWEST, Patience, Progress, Stage
from cog.server.reader import Head, Reader
from cog.server.serving import NO_REQUEST, refusal, serve, serve_at_once
from cog.server.traffic import App, Traffic
from cog.server.wire import Scope

# Requests that wait for the answer to an earlier one. When there are more nothing is read, not even that the client is
# gone; and bytes that are looked at in one go, so that there are not many more.
_MOST_WAITING: Final = 16
_BITE: Final = 16 * 1024
# Bytes of a body that are kept for an application that does not read them yet.
_BUFFER: Final = 64 * 1024

_EXTENSION: Final = "cog.connection"


class Connection(asyncio.Protocol):
    """Tells at once when the client goes away, without a task that waits for it."""

    _transport: asyncio.Transport
    _reader: Reader
    _fixed: Scope

    def __init__(self, traffic: Traffic, loop: asyncio.AbstractEventLoop) -> None:
        self._traffic = traffic
        self._loop = loop
        self._patience = Patience(traffic.client_timeout, traffic.keep_alive, loop.time())
        self._lost: Callable[[], object] | None = None
        self._exchange: Exchange | None = None  # of the request that is read
        self.running: Exchange | None = None  # the one that is answered
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[tuple[Exchange, App]] = deque()
        self._deaf = False  # nothing that comes is looked at any more
        self._gone = False  # the client is gone, or has at least closed its side
        self._leaving = False
        self._held = b""  # what has come and is not looked at yet
        self._paused = False
        self.full = False  # the client does not take what was written
        self.dropped = False  # it was too slow: we are the one who hung up
        self._room: asyncio.Future[None] | None = None
        self._moves = self._written = 0

    def when_lost(self, call: Callable[[], object] | None) -> None:
        """Call `call` when the client goes away; None for nothing. If it has gone already, that is at once. It is called once
        more for a client who has closed only their side before."""
        self._lost = call
        if self._gone:
            self._tell_lost()

    def _tell_lost(self) -> None:
        self._gone = True
        if self._lost is not None:
            self._lost()

    # asyncio's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)
        fixed: Scope = {"extensions": {_EXTENSION: self}}
        for key, name in (("server", "sockname"), ("client", "peername")):
            address = transport.get_extra_info(name)
            # A socket of a folder has a path, which is the address of nobody.
            fixed[key] = (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
        self._fixed = fixed
        self._reader = Reader(self, fixed, self._traffic.heads)
        if not self._traffic.enter(self):
            self._deaf = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        self._traffic.leave(self)
        self._deaf = True
        self._tell_lost()
        for exchange, _ in self._waiting:
            exchange.lose()
        self._waiting.clear()
        if self.running is not None:
            self.running.lose()
            if self._task is not None:
                self._traffic.orphans.add(self._task)
                self._task.add_done_callback(self._traffic.orphans.discard)
        self._exchange = self._task = None
        self._make_writable()
        del self._reader  # it holds this connection

    def eof_received(self) -> bool:
        """Nothing more will come. Whether the client still reads only an answer will tell; so there is one."""
        self._deaf = True
        self._tell_lost()
        if self._reader.open and not self._reader.in_head and self._exchange is not None:
            self._exchange.break_off(
                RequestError("the client closed its side before its request was complete")
            )
        return not self._leaving and (self.running is not None or bool(self._waiting))

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._moves += 1
        if self._deaf:
            return
        if self._held or self._waiting or len(data) > _BITE:
            self._held += data
            self._read()
            return
        try:
            self._reader.read(data)
        except CogError as error:
            self._refuse(error)

    def _read(self) -> None:
        """Look at what has come, as long as not too many requests wait already."""
        data, done = self._held, 0
        try:
            while done < len(data) and len(self._waiting) <= _MOST_WAITING and not self._deaf:
                # What is nothing but body is no head, and no other request: it may be read as it is.
                size = max(_BITE, min(self._reader.due, len(data)))
                self._reader.read(data[done : done + size])
                done += size
        except CogError as error:
            self._refuse(error)
        self._held = b"" if self._deaf else data[done:]
        if self._held:
            self._pause()

    def pause_writing(self) -> None:
        """The client is slow to take its answers."""
        self.full = True

    def resume_writing(self) -> None:
        """It has taken most of them."""
        self.full = False
        self._make_writable()
        if self.running is None:
            self._go_on()

    def _make_writable(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # What the reader hands on

    def take_head(self, head: Head) -> None:
        """A request has begun."""
        if self._deaf:
            self._exchange = None
            return
        self._exchange = Exchange(self, head.scope, keep_alive=head.keep_alive, expects=head.expects)
        self._begin(self._exchange, self._traffic.app)

    def take_body(self, part: bytes) -> None:
        """A part of its body."""
        exchange = self._exchange
        if exchange is not None:
            exchange.feed(part)
            if exchange.buffered > _BUFFER:
                self._pause()

    def take_end(self) -> None:
        """It is whole."""
        exchange = self._exchange
        if exchange is not None:
            exchange.end()
            if not exchange.keep_alive:
                self._deaf = True

    def take_whole(self, known: Known, body: bytes) -> None:
        """A whole request whose head is known."""
        if self._deaf:
            self._exchange = None
            return
        self._exchange = Exchange.whole_one(self, known, body, self._fixed)
        self._begin(self._exchange, self._traffic.app)

    # Requests to answers

    def _begin(self, exchange: Exchange, app: App) -> None:
        if self.running is None and not self._waiting and not self.full:
            self._start(exchange, app)
        else:
            self._waiting.append((exchange, app))

    def _start(self, exchange: Exchange, app: App) -> None:
        self.running = exchange
        self._task = None
        if exchange.known is None or not serve_at_once(exchange, self._traffic.at_once):
            self._task = self._loop.create_task(self._serve(exchange, app))

    async def _serve(self, exchange: Exchange, app: App) -> None:
        if not await serve(exchange, app):
            self._transport.abort()

    def _refuse(self, error: CogError) -> None:
        """Answer what cannot be read, after the requests that came before it, and read no more."""
        if self._deaf:
            return
        self._deaf = True
        exchange = self._exchange
        if exchange is None or exchange.whole or self._reader.in_head:
            self._begin(Exchange(self, NO_REQUEST, keep_alive=False), refusal(error))
        elif exchange.answered:
            self._hang_up()
        else:
            exchange.break_off(error)

    # What an exchange needs

    @property
    def dates(self) -> Dates:
        """What tells the time of this second."""
        return self._traffic.dates

    @property
    def last(self) -> bool:
        """True when no other request will be answered here."""
        return (self._deaf or self._traffic.draining) and not self._waiting

    def write(self, data: bytes) -> None:
        """Send to the client."""
        if not self._transport.is_closing():
            self._written += len(data)
            self._transport.write(data)

    async def writable(self) -> None:
        """Return once the client has taken most of what was written."""
        if self.full:
            self._room = self._loop.create_future()
            await self._room

    def read_on(self) -> None:
        """Read more of what the client sends, if there is room for it again."""
        if self._paused and not (self._held or self._gone or self._transport.is_closing()):
            self._paused = False
            self._transport.resume_reading()

    def _pause(self) -> None:
        if not (self._paused or self._gone or self._transport.is_closing()):
            self._paused = True
            self._transport.pause_reading()

    def answered(self, exchange: Exchange) -> None:
        """The answer is written: the next one, or the end."""
        self.running = None
        self._moves += 1
        if not exchange.keep_alive:
            self._hang_up()
        elif self._waiting or self._held or self._deaf:
            self._loop.call_soon(self._go_on)  # not from within whatever has made this answer
        else:
            self.read_on()

    def _go_on(self) -> None:
        if self._waiting and self.running is None and not self.full:
            self._start(*self._waiting.popleft())
        if self._held:
            self._read()
        if self._deaf and self.running is None and not self._waiting:
            self._hang_up()
        else:
            self.read_on()

    def _hang_up(self) -> None:
        """Close our side once the answer is sent, and all when the client has closed its own. What it still sends is
        thrown away: unread it would make a reset, and that takes the answer from the client (RFC 9112, section 9.6)."""
        if self._leaving or self._transport.is_closing():
            return
        self._deaf = self._leaving = True
        self._waiting.clear()
        self._held = b""
        if self._gone:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # with asyncio's own loop: the client has gone without our knowing
            self._transport.abort()
        self.read_on()

    def leave(self) -> None:
        """Close, unless an answer is under way. A request that is not complete gets none."""
        running = self.running
        asked = running is not None and (running.whole or running.started)
        if not asked and not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    # How long a client may take

    def idle_since(self) -> float | None:
        """Since when nothing has been asked here, as the sweep has seen it; None when something is under way."""
        if self._transport.is_closing() or self._progress().stage not in (Stage.REQUEST, Stage.LEAVING):
            return None
        return self._patience.since

    def check(self, now: float) -> None:
        """Hang up if the client keeps the server waiting for too long."""
        progress = self._progress()
        if not self._patience.exhausted(progress, now):
            return
        seconds = self._traffic.client_timeout
        if progress.stage is Stage.HEAD:
            self._refuse(
                RequestTimeout(f"the head of the request was not complete within {seconds:g} seconds")
            )
        elif progress.stage is Stage.BODY:
            self._refuse(
                RequestTimeout(f"the request body came too slowly: {SLOWEST:,} bytes a second are the least")
            )
        elif progress.stage is Stage.REQUEST:
            self._transport.close()
        else:
            self.dropped = True
            self._transport.abort()

    def _progress(self) -> Progress:
        """What the client has to do next, and how far it is."""
        reader = self._reader
        left = self._transport.get_write_buffer_size()
        if left:
            stage, number = Stage.TAKING, self._written - left
        elif self._leaving:
            stage, number = Stage.LEAVING, 0
        elif reader.open and not (self._paused or self._deaf):
            stage, number = Stage.HEAD if reader.in_head else Stage.BODY, reader.messages
        elif self.running is None:
            stage, number = Stage.REQUEST, self._moves
        else:
            stage, number = Stage.NOTHING, 0
        return Progress(stage, number, reader.received)


def connection_of(scope: Scope) -> Connection:
    """The connection that a request came on."""
    return cast("Connection", scope["extensions"][_EXTENSION])
