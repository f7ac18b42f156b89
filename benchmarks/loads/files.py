"""A big file in a data URL, in and out."""

from __future__ import annotations

import base64
import functools
import os
import socket
import time
from typing import Final

from benchmarks.contestant import Server
from benchmarks.load import Effort, Outcome
from benchmarks.processes import all_mebibytes, all_processor_seconds, forget_peaks
from benchmarks.works import Work

WARM: Final = 1 << 16  # bytes
TIMEOUT: Final = 120  # seconds


@functools.cache
def data_url(size: int) -> str:
    """So many random bytes."""
    return "data:application/octet-stream;base64," + base64.b64encode(os.urandom(size)).decode()


def there_and_back(server: Server, work: Work, size: int) -> float:
    """Seconds from the first byte sent to the last one of the answer, which holds the same file."""
    url = data_url(size)
    body = server.body({"file": url})
    head = (
        f"POST {server.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as sock:
        begun = time.monotonic()
        sock.sendall(head.encode())
        sock.sendall(body)
        pieces = []
        while piece := sock.recv(1 << 20):
            pieces.append(piece)
        seconds = time.monotonic() - begun
    top, _, answer = b"".join(pieces).partition(b"\r\n\r\n")
    if not top.startswith(b"HTTP/1.1 200") or not work.right(
        {"file": url}, server.output(_joined(top, answer))
    ):
        raise ValueError(f"the file did not come back: {top[:500]!r} {answer[:200]!r}")
    return seconds


def _joined(head: bytes, body: bytes) -> bytes:
    """A body without the sizes of its chunks, if it has any."""
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


def seconds(server: Server, work: Work, effort: Effort) -> Outcome:
    """How long one takes."""
    there_and_back(server, work, WARM)
    before = all_processor_seconds(server.mark)
    taken = there_and_back(server, work, effort.file)
    return Outcome(taken, remark=f"processor {all_processor_seconds(server.mark) - before:.2f} s")


def peak(server: Server, work: Work, effort: Effort) -> Outcome:
    """The most memory that server and worker took more than they had idle, as a multiple of the file."""
    there_and_back(server, work, WARM)
    forget_peaks(server.mark)
    before = all_mebibytes(server.mark)
    there_and_back(server, work, effort.file)
    most = all_mebibytes(server.mark, "VmHWM")
    return Outcome((most - before) / (effort.file / 2**20), remark=f"{before:.0f} to {most:.0f} MiB")
