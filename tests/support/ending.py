"""The end of a server: how it is told, who waits for an answer meanwhile, and that nothing is left."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from support.meanwhile import Meanwhile
from support.serving import Response, Server, until
from support.steps import alive

TOLD: dict[str, Callable[[Server], object]] = {
    "SIGTERM": lambda server: server.process.send_signal(signal.SIGTERM),
    "SIGINT": lambda server: server.process.send_signal(signal.SIGINT),
    "POST /shutdown": lambda server: server.call("POST", "/shutdown"),
}


class Asking(Meanwhile[Response]):
    """A client that waits for the answer to a synchronous request."""

    def __init__(self, server: Server, input: dict[str, Any], **fields: Any) -> None:
        super().__init__(lambda: server.predict(input, fields=fields))

    def answer(self) -> Response:
        return self.result(20)


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), timeout=20)


def processes_in(folder: Path) -> list[int]:
    """Every process that works in this folder: a model's worker, and what the model started there."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(cwd) == str(folder):
                found.append(int(cwd.parent.name))
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found


def ended(server: Server, pids: list[int], code: int = 0, within: float = 10.0) -> None:
    """The server ends with this code, its workers and everything they started with it; the port is free, the log is clean."""
    assert server.process.wait(within) == code, server.log
    for pid in pids:
        until(partial(alive, pid), lambda there: not there, 1.0)
    until(lambda: processes_in(server.folder), lambda left: not left, 1.0)
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port_of(server))) != 0
    assert "Traceback" not in server.log, server.log
