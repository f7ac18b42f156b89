"""A client that is nothing but a socket: it sends what the test says, whole or in pieces, and reads answers one by one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.serving import DEADLINE, Response, Server


@dataclass
class Raw:
    """One connection; `left` is what came and is not read yet."""

    socket: socket.socket
    left: bytes = field(default=b"")

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def more(self) -> bool:
        """Read what there is; false at the end."""
        data = self.socket.recv(1 << 20)
        self.left += data
        return bool(data)

    def answer(self, *, bodiless: bool = False) -> Response:
        """The next answer, with all of its body."""
        while b"\r\n\r\n" not in self.left:
            assert self.more(), f"no answer, only {self.left!r}"
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in fields)}
        assert len(headers) == len(fields), fields
        length = 0 if bodiless else int(headers.get("content-length", 0))
        while len(self.left) < length:
            assert self.more(), f"the body is {len(self.left)} bytes, not {length}"
        body, self.left = self.left[:length], self.left[length:]
        return Response(int(status), headers, body)

    def refused(self, status: int, text: str = "") -> Any:
        """An error as this server writes it, after which the connection is closed."""
        answer = self.answer()
        assert answer.status == status, answer
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["connection"] == "close"
        error = answer.json()
        assert error["status"] == "failed"
        assert text in error["error"], error
        self.ended()
        return error

    def ended(self) -> None:
        """The server closes the connection, in order, and says nothing more."""
        assert not self.more()
        assert self.left == b""

    def works(self) -> None:
        """The connection is still good for a prediction."""
        self.send(post({"x": 41}))
        answer = self.answer()
        assert (answer.status, answer.json()["output"]) == (200, 42), answer

    def reset(self) -> None:
        """Go away without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


@contextmanager
def raw(server: Server | int, *, receive: int | None = None) -> Iterator[Raw]:
    """A connection to a server or a port; `receive` is the size of its receive buffer."""
    port = server if isinstance(server, int) else port_of(server)
    with socket.socket() as opened:
        if receive is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        opened.settimeout(DEADLINE)
        opened.connect(("127.0.0.1", port))
        yield Raw(opened)


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *headers, "", "")).encode("latin-1")


def post(input: dict[str, Any], *headers: str, **fields: Any) -> bytes:
    """A request for a prediction."""
    data = json.dumps({"input": input, **fields}).encode()
    length = f"Content-Length: {len(data)}"
    return get("/predictions", "Content-Type: application/json", length, *headers, method="POST") + data


# Adds 1; with `hold` it waits until the test makes a file of that name with `.go`.
ADDING = """
import os, time
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, x: int = 1, hold: str = "", size: int = 0) -> object:
        if hold:
            open(hold, "w").close()
            end = time.monotonic() + 20
            while not os.path.exists(hold + ".go") and time.monotonic() < end:
                time.sleep(0.005)
        return "x" * size if size else x + 1
"""


def quiet(server: Server) -> None:
    """Nothing that happened was an error of the server, and it answers as before."""
    answer = server.predict({"x": 1})
    assert (answer.status, answer.json()["output"]) == (200, 2), answer
    assert server.health()["status"] == "READY"
    levels = {line.get("level") for line in server.lines}
    assert not levels & {"ERROR", "WARN", "WARNING"}, server.log
    assert "Traceback" not in server.log, server.log
