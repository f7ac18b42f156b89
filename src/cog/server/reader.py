"""What a client sends, cut into requests by httptools' parser, within limits."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

import httptools

from cog.errors import CogError, HeadTooLarge, RequestError, TargetTooLong
from cog.server.heads import Heads, Known
from cog.server.wire import Scope

log = logging.getLogger("cog.server")

# Bytes of a request's line and headers, header fields, and bytes of its target, much as other servers have them.
HEAD_LIMIT: Final = 64 * 1024
FIELD_LIMIT: Final = 200
TARGET_LIMIT: Final = 8 * 1024

# The parser refuses what has no 64 bits, but takes any number of zeros before it: more than Python makes a number of.
_LENGTH_DIGITS: Final = 20

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_FRAMING: Final = (b"content-length", b"transfer-encoding")


class Head(NamedTuple):
    """The beginning of a request. `expects` is true when its body is sent only after `100 Continue`."""

    scope: Scope
    keep_alive: bool
    expects: bool


class Taker(Protocol):
    """Who gets the requests. An error of ours that it raises comes out of `Reader.read`."""

    def take_head(self, head: Head) -> None:
        """A request has begun."""

    def take_body(self, part: bytes) -> None:
        """A part of its body."""

    def take_end(self) -> None:
        """It is whole."""

    def take_whole(self, known: Known, body: bytes) -> None:
        """A whole request whose head is known."""


class Reader:
    """`open` from the first byte of a request to its last, `in_head` until its headers are there.

    `messages` and `received` count requests and bytes of their bodies; `due` are bytes that are nothing but body still, as
    far as its length was announced.
    """

    def __init__(self, taker: Taker, fixed: Scope, heads: Heads) -> None:
        """`fixed` is what the scopes of all requests have in common."""
        self._taker = taker
        self._heads = heads
        self._fixed = fixed
        self._parser = httptools.HttpRequestParser(self)
        self.open = False
        self.in_head = False
        self.messages = 0
        self.received = 0
        self.due = 0
        self._made: Head | None = None  # the latest one
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._upgrading = False
        self._replaying = False
        # What bounds the parser's memory: the bytes that came since there was something to show for them.
        self._barren = 0
        self._fresh = False

    def read(self, data: bytes) -> None:
        """Hand on what is in `data`, which is smaller than a head may be. After an error nothing may follow.

        Raises:
            CogError: the request cannot be answered, or not be read at all.
        """
        if self.open:
            self._parse(data)
        elif (found := self._heads.find(data)) is not None:
            self.messages += 1
            self.received += len(found[1])
            self._taker.take_whole(*found)
        else:
            messages, self._made = self.messages, None
            self._parse(data)
            if self.messages == messages + 1:
                self._note(data)

    def _note(self, data: bytes) -> None:
        """Know the head again, if `data`, in which one request has begun, was just that request."""
        made = self._made
        if made is not None and made.keep_alive and not self.open:
            self._heads.note(data, made.scope)

    def _parse(self, data: bytes) -> None:
        size = len(data)
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                raise _reason(error) from error
            else:
                break
        if self.open:
            self._weigh(size)

    def _without_upgrade(self) -> bytes:
        """The parser takes what follows an Upgrade for another protocol; to a new one it is this request's body."""
        self._upgrading, self._replaying = False, True
        self._parser = httptools.HttpRequestParser(self)
        lines = [b"%b: %b\r\n" % (name, value) for name, value in self._headers if name in _FRAMING]
        return b"POST / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n"

    def _weigh(self, size: int) -> None:
        """Bound what a client may send without getting on: of a head, or of what is around a body's chunks."""
        if self._fresh:  # where in these bytes it began is not known
            self._fresh = False
            return
        self._barren += size
        if self.in_head and len(self._url) > TARGET_LIMIT:
            raise _target_too_long()
        if self._barren > HEAD_LIMIT:
            if self.in_head:
                raise _head_too_large()
            raise RequestError("the request body has too much around it: chunk extensions or trailers")

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._replaying:
            self._replaying = False
            return
        self.messages += 1
        self.open = self.in_head = self._fresh = True
        self.due = 0
        self._barren = 0
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        if self.in_head:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, for which nobody asks."""
        if self.in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Its head is there."""
        if not self.in_head:
            return
        version = self._parser.get_http_version()
        expects = self._check_head(version)
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        head = self._made = Head(self._scope(version), keep_alive, expects)
        self._taker.take_head(head)
        self.in_head = False
        self._fresh, self._barren = True, 0
        self._upgrading = self._parser.should_upgrade()

    def _check_head(self, version: str) -> bool:
        """Raise if the head is not one that can be answered. True when its client waits for `100 Continue`."""
        if len(self._url) > TARGET_LIMIT:
            raise _target_too_long()
        if len(self._headers) > FIELD_LIMIT or (
            self._barren  # else it came in one go, of which the connection sees to the size
            and sum(len(name) + len(value) + 4 for name, value in self._headers) > HEAD_LIMIT
        ):
            raise _head_too_large()
        hosts, expects = 0, False
        for name, value in self._headers:
            if name == b"host":
                hosts += 1
            elif name == b"expect":
                expects = value.lower() == b"100-continue"
            elif name == b"content-length":
                if len(value) > _LENGTH_DIGITS:
                    raise RequestError("the Content-Length of the request has too many digits")
                self.due = int(value)
        if version == "1.0":
            return False
        if version != "1.1":
            raise RequestError("only HTTP/1.1 and HTTP/1.0 are spoken here")
        if hosts != 1:
            raise RequestError("an HTTP/1.1 request has to have one Host header")
        return expects

    def _scope(self, version: str) -> Scope:
        try:
            target = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError as error:
            raise RequestError("the target of the request is not a path") from error
        raw = target.path or b"/"
        path = raw.decode("latin-1")
        return {
            "type": "http", "asgi": _ASGI, "http_version": version, "method": self._parser.get_method().decode("ascii"),
            "scheme": "http", "path": unquote(path) if "%" in path else path, "raw_path": raw, "root_path": "",
            "query_string": target.query or b"", "headers": self._headers, **self._fixed,
        }  # fmt: skip

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self.received += len(body)
        self.due -= len(body)
        self._fresh, self._barren = True, 0
        self._taker.take_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        if not self._upgrading:
            self.open = False
            self._taker.take_end()


def _reason(error: httptools.HttpParserError) -> CogError:
    """Why a request is refused: what was raised while it was parsed, or that it is not HTTP."""
    cause = error.__context__
    if isinstance(cause, RequestError):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError):
        log.error("a defect of the server: a request could not be taken in", exc_info=cause)
        return CogError("an error of the server; its log says more")
    return RequestError("the request is not valid HTTP/1.1")


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(
        f"the head of the request is larger than {HEAD_LIMIT:,} bytes or has more than {FIELD_LIMIT} fields"
    )


def _target_too_long() -> TargetTooLong:
    return TargetTooLong(f"the target of the request is longer than {TARGET_LIMIT:,} bytes")
