"""The server that the machine drives: its models, a client that counts what it is answered, and what the system sees of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from support.serving import DEADLINE, Response, Server, serving, until, write_model

# Seconds for which ended predictions are kept.
KEEP: Final = 10

_MODEL = '''
import asyncio, os, time
from pathlib import Path as LocalPath
from typing import Any, Optional

from cog import BaseRunner, Path, concurrent

FOLDER = LocalPath(__file__).parent

def waits(token, patience=60.0):
    """Yields until the test says "go"; nobody's gate stays closed for ever."""
    deadline = time.monotonic() + patience
    while not (FOLDER / f"{token}.go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened the gate of {token}")
        yield 0.002

def began(token):
    print(f"{token} begins")
    (FOLDER / f"{token}.new").write_text(str(os.getpid()))
    os.rename(FOLDER / f"{token}.new", FOLDER / f"{token}.began")

def ended(token, ending, size, file):
    print(f"{token} ends")
    if ending == "fail":
        raise ValueError(token)
    if ending == "die":
        os._exit(3)
    told = {"token": token, "filler": "x" * size, "content": None if file is None else file.read_text()}
    if ending == "file":
        path = FOLDER / f"{token}.txt"
        path.write_text(token)
        told["file"] = Path(path)
    return told

'''

SYNC = (
    _MODEL
    + """
class Runner(BaseRunner):
    def run(self, token: str, gate: bool = False, ending: str = "return", size: int = 0,
            file: Optional[Path] = None) -> Any:
        began(token)
        if gate:
            for pause in waits(token):
                time.sleep(pause)
        return ended(token, ending, size, file)
"""
)

ASYNC = (
    _MODEL
    + """
class Runner(BaseRunner):
    @concurrent(max=4)
    async def run(self, token: str, gate: bool = False, ending: str = "return", size: int = 0,
                  file: Optional[Path] = None) -> Any:
        began(token)
        if gate:
            for pause in waits(token):
                await asyncio.sleep(pause)
        return ended(token, ending, size, file)
"""
)


class Client:
    """One request on a connection of its own, which the server is asked to close, so that all that comes is seen."""

    def __init__(self, url: str, method: str, path: str, body: Any = None, receive_buffer: int = 0) -> None:
        parts = urlsplit(url)
        self._socket = socket.socket()
        self._socket.settimeout(DEADLINE)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((parts.hostname, parts.port))
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\ncontent-type: application/json\r\n"
        self._socket.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(text) + text)

    def read_some(self, count: int) -> bytes:
        """The first bytes of the answer; `read` goes on after them."""
        return self._socket.recv(count, socket.MSG_PEEK)

    def read(self) -> Response | None:
        """The one answer; None when the connection ended without one. Fails when anything follows it."""
        received = bytearray()
        with contextlib.closing(self._socket), contextlib.suppress(ConnectionResetError):
            while chunk := self._socket.recv(1 << 16):
                received += chunk
        if not received:
            return None
        head, _, body = bytes(received).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert len(body) == int(headers["content-length"]), "an answer was cut, or something followed it"
        return Response(int(first.split()[1]), headers, body)

    def hang_up(self) -> None:
        """Go away; a thread that reads sees the end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


@dataclass
class Subject:
    """A running server, and what it had when it was new and had served a little."""

    server: Server
    temporary: Path
    descriptors: int = 0
    memory: int = 0
    _kept: list[tuple[float, int]] = field(default_factory=list)

    def measure(self) -> None:
        self.descriptors, self.memory = descriptors(self.server), self.unexplained()

    def keeps(self, size: int) -> None:
        """A prediction with an output of so many bytes has ended: for KEEP seconds the server has it."""
        self._kept.append((time.monotonic(), size))

    def unexplained(self) -> int:
        """The server's memory in bytes without the large predictions that it still keeps, as it should."""
        since = time.monotonic() - KEEP
        self._kept = [(ended_at, size) for ended_at, size in self._kept if ended_at >= since]
        return resident(self.server) - sum(size for _, size in self._kept)

    def folders(self) -> int:
        """How many predictions have a folder now."""
        return sum(1 for _ in self.temporary.glob("cog-run-*/[0-9]*"))


@contextlib.contextmanager
def subject(root: Path, source: str, *flags: str, env: Mapping[str, str] | None = None) -> Iterator[Subject]:
    """A server of its own with a folder of its own for temporary files, which must be empty at the end."""
    temporary = root / "temporary"
    temporary.mkdir(parents=True)
    environment = {"TMPDIR": str(temporary), **(env or {})}
    with serving(write_model(root / "model", source), *flags, env=environment) as server:
        yield Subject(server, temporary)
        killed = server.process.poll() == -signal.SIGKILL  # by a test that has failed already
    assert killed or os.listdir(temporary) == []


def descriptors(server: Server) -> int:
    """How many files, sockets and pipes the server has open."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def resident(server: Server) -> int:
    """The server's resident memory in bytes, without its workers."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def zombies(server: Server) -> list[int]:
    """Children of the server that have ended and that it has not asked about."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == server.process.pid and state == "Z":
                found.append(int(stat.parent.name))
    return found


def until_settled(look: Any, bound: int, what: str) -> None:
    """Return when `look()` is at most `bound`; it may take a moment, because folders are removed in a thread."""
    try:
        until(look, lambda seen: seen <= bound, 10.0)
    except AssertionError as error:
        raise AssertionError(f"{what} over {bound}: {error}") from None
