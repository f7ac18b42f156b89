"""A real HTTP server for tests: it notes what comes in, and answers as a test tells it to."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from support.serving import DEADLINE


@dataclass(frozen=True)
class Incoming:
    """One request that came in; `target` is its path and query as they were sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Incoming], Reply]


@dataclass
class Receiver:
    """The requests that came to `url`, and `answer`, which may wait for something before it replies."""

    answer: Answer
    url: str = ""
    got: list[Incoming] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, incoming: Incoming) -> Reply:
        with self._changed:
            self.got.append(incoming)
            self._changed.notify_all()
        return self.answer(incoming)

    def wait_until(
        self, enough: Callable[[list[Incoming]], bool], timeout: float = DEADLINE
    ) -> list[Incoming]:
        """What came, once `enough` says so."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not enough(self.got):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"waited {timeout:g} s in vain; this came: {self.got!r}")
            return list(self.got)

    def wait_for(self, count: int, timeout: float = DEADLINE) -> list[Incoming]:
        """What came, once it is `count` requests."""
        return self.wait_until(lambda got: len(got) >= count, timeout)


class Gate:
    """Closed until a test opens it; who waits in front of it waits for a limited time only."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        self._event.set()

    def wait(self) -> None:
        if not self._event.wait(DEADLINE):
            raise AssertionError("nobody opened the gate")


class _Http(ThreadingHTTPServer):
    request_queue_size = 128  # with the 5 of the standard library many clients at once meet a full backlog

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client may hang up
            super().handle_error(request, client_address)


def well(_: Incoming) -> Reply:
    """200, whatever came."""
    return Reply()


@contextmanager
def receiving(answer: Answer = well, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver on a free port of `host`."""
    receiver = Receiver(answer)

    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.take(Incoming(self.command, self.path, headers, body, time.monotonic()))
            self.send_response(reply.status)
            for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = take

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: `got` tells it all."""

    with _Http((host, 0), Handler) as http:
        receiver.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            http.shutdown()
            thread.join()
