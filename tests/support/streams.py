"""A client for event streams that reads as it comes, and models that stream what the test says."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from support.serving import DEADLINE, Server
from support.steps import model

_HEAD = model("generator").partition("class Runner")[0]
SYNC = (
    _HEAD
    + """
from cog import current_scope, streaming

class Runner(BaseRunner):
    @streaming
    def run(self, code: str = "yield None") -> Iterator[Any]:
        yield from made("def", code)()
"""
)
ASYNC = (
    _HEAD
    + """
from cog import concurrent, current_scope, streaming

gate = async_gate

class Runner(BaseRunner):
    @streaming
    @concurrent(max=8)
    async def run(self, code: str = "yield None") -> AsyncIterator[Any]:
        async for chunk in made("async def", code)():
            yield chunk
"""
)
EVENTS = {"accept": "text/event-stream"}


@dataclass(frozen=True)
class Event:
    """One event; `lines` is how it stood on the wire."""

    name: str
    data: Any
    id: str | None
    lines: tuple[bytes, ...]


@dataclass
class Stream:
    """An answer that is read event by event. `comments` are those that came between."""

    status: int
    headers: Mapping[str, str]
    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    comments: list[bytes] = field(default_factory=list)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        lines: list[bytes] = []
        while (line := self.response.readline()) != b"\n":
            if not line:
                assert not lines, lines
                raise StopIteration
            if line.startswith(b":"):
                self.comments.append(line)
                assert self.response.readline() == b"\n"
            else:
                lines.append(line)
        fields = dict(_field(line) for line in lines)
        assert len(fields) == len(lines), lines
        return Event(fields["event"], json.loads(fields["data"]), fields.get("id"), tuple(lines))

    def until(self, name: str) -> Event:
        """The next event of this name."""
        return next(event for event in self if event.name == name)

    def leave(self) -> None:
        """Hang up."""
        self.response.close()
        self.connection.close()


def _field(line: bytes) -> tuple[str, str]:
    assert line.endswith(b"\n")
    assert not line.endswith(b"\r\n")
    name, _, value = line[:-1].decode().partition(": ")
    return name, value


@contextlib.contextmanager
def streaming(
    server: Server,
    method: str = "POST",
    path: str = "/predictions",
    body: Any = None,
    headers: Mapping[str, str] = EVENTS,
    timeout: float = DEADLINE,
) -> Iterator[Stream]:
    """The answer to a request that asks for events; `body` is JSON, or bytes that are."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {**({} if raw is None else {"content-type": "application/json"}), **headers}
    try:
        connection.request(method, path, raw, sent)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        yield Stream(response.status, fields, connection, response)
    finally:
        connection.close()


def told(stream: Stream) -> list[Event]:
    """All that is left of it."""
    return list(stream)


def chunks(events: list[Event]) -> list[Any]:
    """The output among them, whose numbers are right."""
    found = [event.data for event in events if event.name == "output"]
    assert all(set(data) == {"chunk", "index"} for data in found)
    assert [data["index"] for data in found] == list(range(found[0]["index"], found[0]["index"] + len(found)))
    return [data["chunk"] for data in found]
