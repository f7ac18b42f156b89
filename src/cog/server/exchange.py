"""One request and its answer, handed to the application the way ASGI has it."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Final, NamedTuple, Protocol

from cog.errors import CogError, RequestError
from cog.server.heads import Known
from cog.server.wire import Answer, Message, Scope

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}
_JSON: Final = b"content-type: application/json\r\n"
_BODILESS: Final = frozenset({204, 304})  # RFC 9110, section 6.4.1
# Answers up to this many bytes go out in one piece with their head; a larger one is not copied for that.
_ONE_PIECE: Final = 64 * 1024
# The rest of a body that nobody wants is read up to this many bytes, so that the connection can be kept.
_UNWANTED: Final = 64 * 1024


class Dates(NamedTuple):
    """What stands in the answers of one second: the Date header, as a line, and the head of an ordinary answer up to the
    figure of its length."""

    line: bytes
    ok: bytes

    @classmethod
    def at(cls, now: float) -> Dates:
        """Those of a time in seconds since the epoch."""
        line = b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
        return cls(line, b"".join((_STATUS[200], line, _JSON, b"content-length: ")))


class Line(Protocol):
    """What an exchange needs of its connection."""

    @property
    def dates(self) -> Dates:
        """What tells the time of this second."""

    @property
    def last(self) -> bool:
        """True when no other request will be answered here."""

    @property
    def full(self) -> bool:
        """True while the client does not take what was written."""

    def write(self, data: bytes) -> None:
        """Send to the client."""

    async def writable(self) -> None:
        """Return once the client has taken most of what was written."""

    def read_on(self) -> None:
        """Read more of what the client sends, if there is room for it again."""

    def answered(self, exchange: Exchange) -> None:
        """The answer is written."""

    def when_lost(self, call: Callable[[], object] | None) -> None:
        """Call `call` when the client goes away; None for nothing."""


class Exchange:
    """`receive` and `send` are ASGI's; `known` is its head, if that was known when it came."""

    __slots__ = (
        "_broken", "_chunked", "_expects", "_fixed", "_given", "_head", "_left", "_line", "_parts", "_scope", "_woken",
        "answered", "buffered", "gone", "keep_alive", "known", "started", "whole",
    )  # fmt: skip

    def __init__(self, line: Line, scope: Scope, *, keep_alive: bool, expects: bool = False) -> None:
        """`expects` is true when the client sends its body only after `100 Continue`."""
        self._line = line
        self._scope: Scope | None = scope
        self._fixed = scope
        self.known: Known | None = None
        self.keep_alive = keep_alive
        self._expects = expects
        self._parts: list[bytes] = []
        self.buffered = 0
        self.whole = False
        self._given = False
        self._broken: CogError | None = None
        self._woken: asyncio.Future[None] | None = None
        self.gone = False
        self.started = False
        self.answered = False
        self._head = b""
        self._chunked = False
        self._left = 0

    @classmethod
    def whole_one(cls, line: Line, known: Known, body: bytes, fixed: Scope) -> Exchange:
        """A request that has come in one piece, with a head that is known."""
        exchange = cls(line, fixed, keep_alive=True)
        exchange._scope = None  # most are answered without one
        exchange.known = known
        exchange._parts.append(body)
        exchange.whole = True
        return exchange

    @property
    def content(self) -> bytes:
        """The body, as far as it has come and was not read."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def let_go(self) -> None:
        """Nobody needs the body any more, although the answer may take long."""
        self._parts.clear()

    @property
    def scope(self) -> Scope:
        """What ASGI calls the scope of the request."""
        if self._scope is None:
            assert self.known is not None
            self._scope = self.known.scope(len(self.content), self._fixed)
        return self._scope

    # What the connection tells

    def feed(self, part: bytes) -> None:
        """A part of the body has come."""
        if not self.answered:
            self._parts.append(part)
            self.buffered += len(part)
            self._wake()

    def end(self) -> None:
        """The request is whole."""
        self.whole = True
        self._wake()

    def break_off(self, error: CogError) -> None:
        """The rest of the body will never come; `receive` raises `error`."""
        self._broken = error
        self.keep_alive = False
        self._wake()

    def lose(self) -> None:
        """The client is gone."""
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    # What the application calls

    async def receive(self) -> Message:
        """The next part of the body; after the last one `http.disconnect` once the client is gone or answered.

        Raises:
            CogError: the body ends before it is complete; the text says why.
        """
        if self._expects:
            self._expects = False
            if not self._parts and not self.whole and not self.started:
                self._line.write(_CONTINUE)
        while True:
            if not self._given:
                if self._parts or self.whole:
                    return self._take()
                if self._broken is not None:
                    raise self._broken
                if self.gone:
                    raise RequestError("the client went away before its request was complete")
            if self.gone or self.answered:
                return {"type": "http.disconnect"}
            self._line.read_on()
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
            self._woken = None

    def _take(self) -> Message:
        parts, self._parts = self._parts, []
        self.buffered = 0
        self._given = self.whole
        self._line.read_on()  # also after the last part: else nobody would see the client go away
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: Message) -> None:
        """Send the head or a part of the answer; after its last part nothing may follow.

        Raises:
            RuntimeError: the application does not keep to the order or to the length that it announced.
        """
        if self.gone:
            return
        if message["type"] == "http.response.start":
            if self.started:
                raise RuntimeError("the answer has been started already")
            self._start(message["status"], message.get("headers", ()))
            return
        if not self.started or self.answered:
            raise RuntimeError("a part of an answer is out of its place")
        more: bool = message.get("more_body", False)
        self._write(message.get("body", b""), more)
        if more:
            await self._line.writable()
        else:
            self.answered = True
            self._parts.clear()
            self._wake()
            self._line.answered(self)

    # What answers without a task, or without waiting, calls

    def reply(self, answer: Answer) -> None:
        """Send a whole answer to a request that is no HEAD, at once; nothing may follow."""
        if self.gone or self.answered:
            return
        line, (status, body, headers) = self._line, answer
        length = len(body)
        if status == 200 and not headers and self.whole and self.keep_alive and not line.last:
            head = b"%b%d\r\n\r\n" % (line.dates.ok, length)
        else:
            lines = [_JSON, b"content-length: %d\r\n" % length, *self._lines(headers)]
            head = self._headed(status, lines)
        self.started = self.answered = True
        self._parts.clear()
        if length <= _ONE_PIECE:
            line.write(head + body)
        else:
            line.write(head)
            line.write(body)
        line.answered(self)

    def when_lost(self, call: Callable[[], object] | None) -> None:
        """Call `call` when the client goes away; None for nothing."""
        self._line.when_lost(call)

    def push(self, part: bytes) -> None:
        """Send a part of an answer that has been started, without waiting for the client; see `stuck`."""
        if self.started and not (self.gone or self.answered):
            self._write(part, more=True)

    @property
    def stuck(self) -> bool:
        """True when the client takes nothing more for now, or is gone."""
        return self.gone or self._line.full

    # How an answer stands on the wire

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        lines = self._lines(headers)
        length = next((int(value) for name, value in headers if name == b"content-length"), None)
        if self.scope["method"] == "HEAD" or status in _BODILESS:
            self._left = -1
        elif length is not None:
            self._left = length
        elif self.scope["http_version"] == "1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        else:  # an answer whose end is the end of the connection
            self._left = -1
            self.keep_alive = False
        self._head = self._headed(status, lines)
        if length is None:
            self._flush_head()

    def _lines(self, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Those that the application gives, but for what it says of the connection, which is heeded."""
        lines = []
        for name, value in headers:
            if name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
            else:
                lines.append(b"%b: %b\r\n" % (name, value))
        return lines

    def _headed(self, status: int, lines: list[bytes]) -> bytes:
        """The head with these lines, and those of ours."""
        if not self.keep_alive or self._line.last or not (self.whole or self._rest_is_small()):
            self.keep_alive = False
            lines.append(b"connection: close\r\n")
        head = b"".join((_STATUS[status], self._line.dates.line, *lines))
        if head.count(b"\n") != len(lines) + 2:
            raise RuntimeError("a header of an answer has a line break in it")
        return head + b"\r\n"

    def _rest_is_small(self) -> bool:
        """True when what the client still sends is worth reading, so that the connection can be kept."""
        if self._expects:
            return False  # nobody can know whether it sends the body now
        length = next((value for name, value in self.scope["headers"] if name == b"content-length"), b"")
        return length != b"" and int(length) <= _UNWANTED

    def _flush_head(self) -> None:
        self._line.write(self._head)
        self._head = b""

    def _write(self, body: bytes, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._chunked:
            body = self._chunk(body)
            if not more:
                body += b"0\r\n\r\n"
        elif self._left >= 0:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the answer is not as long as its Content-Length says")
        if self._head and len(body) <= _ONE_PIECE:
            body = self._head + body
            self._head = b""
        elif self._head:
            self._flush_head()
        if body:
            self._line.write(body)

    def _chunk(self, body: bytes) -> bytes:
        """A part as it stands in an answer whose length nobody knows; of a large one, which is not copied for that, only
        what is left to write."""
        if not body:
            return b""
        if len(body) <= _ONE_PIECE:
            return b"%x\r\n%b\r\n" % (len(body), body)
        self._line.write(b"%x\r\n" % len(body))
        self._line.write(body)
        return b"\r\n"
