"""What many chunks cost: time and memory of a prediction that yields 100,000, 300,000 and 1,000,000 of them.

    python -m benchmarks.long_output [--chunks 100000 300000 1000000]

Each is measured with nobody but the client who waits for its end, and with somebody else beside: a receiver of webhooks
(every 0.5 s, each with all chunks so far), somebody who polls as often, a reader of the events, and a reader who stops
reading. A server is new for each, since its memory is the most that it has ever had. All the time another client asks
for its health: the longest that it waited is what all others notice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple

from benchmarks.contestant import Server
from benchmarks.contestants.ours import Ours
from benchmarks.launching import ask
from benchmarks.processes import children, mebibytes, processor_seconds
from benchmarks.works import STREAM

ID = "long"
POLL_EVERY = 0.5
HEALTH_EVERY = 0.02
# Before the first chunk, so that whoever attaches is there: who comes 1,024 chunks late, some 5 ms, is told that he has
# missed the first.
AFTER = 0.2


class Result(NamedTuple):
    """Seconds until the answer was there and that the server computed, MiB that it and the worker took more than before,
    the longest that somebody else waited (ms), and what came of that which was beside."""

    seconds: float
    processor: float
    server: float
    worker: float
    others: float
    beside: str


_EVENT: Final = b"event: output\n"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--chunks", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    options = parser.parse_args()
    print(
        "| beside | chunks | seconds | of the server's processor | server | worker | others waited | came |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|---|")
    for name, beside in BESIDE.items():
        for chunks in options.chunks:
            with Ours().start(STREAM) as server:
                result = measure(server, chunks, beside)
            print(
                f"| {name} | {chunks:,} | {result.seconds:.1f} | {result.processor:.1f} s | {result.server:.0f} MiB "
                f"| {result.worker:.0f} MiB | {result.others:.0f} ms | {result.beside} |",
                flush=True,
            )


def measure(server: Server, chunks: int, beside: Callable[[Server], Beside]) -> Result:
    """One prediction, waited for."""
    create(server, 10, {"id": "first"})  # what is made when it is first needed
    worker = max(children(server.pid), key=mebibytes)
    before = mebibytes(server.pid), mebibytes(worker), processor_seconds(server.pid)
    with beside(server) as (fields, came), asking(server) as others:
        begun = time.monotonic()
        answer = create(server, chunks, fields)
        seconds = time.monotonic() - begun - AFTER
        shown = json.loads(answer)
        if shown["status"] != "succeeded" or len(shown["output"]) != chunks:
            raise SystemExit(f"{len(shown['output'])} chunks came of {chunks}: {shown['error']}")
        del shown
        text = came()
    return Result(
        seconds,
        processor_seconds(server.pid) - before[2],
        mebibytes(server.pid) - before[0],
        mebibytes(worker) - before[1],
        max(others) * 1e3,
        f"{text}; the answer has {len(answer) / 2**20:.1f} MiB" if text else f"{len(answer) / 2**20:.1f} MiB",
    )


def create(server: Server, chunks: int, fields: dict[str, object]) -> bytes:
    """Start a prediction and wait for its end."""
    body = json.dumps({"input": {"chunks": chunks, "after": AFTER}, "id": ID, **fields}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/predictions",
        body,
        {"content-type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        found: bytes = answer.read()
        return found


@contextlib.contextmanager
def repeatedly(act: Callable[[], object], pause: float) -> Iterator[list[float]]:
    """Call it in a thread, again and again; gives how many seconds each call took."""
    ended, took = threading.Event(), [0.0]

    def repeat() -> None:
        while not ended.wait(pause):
            begun = time.monotonic()
            act()
            took.append(time.monotonic() - begun)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def asking(server: Server) -> contextlib.AbstractContextManager[list[float]]:
    """Ask for the health of the server."""
    return repeatedly(lambda: ask(server, "GET", "/health-check"), HEALTH_EVERY)


# What is beside: more fields of the request, and afterwards what came of it.

Beside = contextlib.AbstractContextManager[tuple[dict[str, object], Callable[[], str]]]


@contextlib.contextmanager
def nobody(server: Server) -> Iterator[tuple[dict[str, object], Callable[[], str]]]:
    yield {}, lambda: ""


@contextlib.contextmanager
def receiver(server: Server) -> Iterator[tuple[dict[str, object], Callable[[], str]]]:
    sizes: list[int] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sizes.append(len(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            if b'"completed_at":null' not in body[-200:]:
                ended.set()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()

        def came() -> str:
            if not ended.wait(60):
                raise SystemExit("the last webhook did not come")
            return f"{len(sizes)} webhooks, {sum(sizes) / 2**20:.1f} MiB in all"

        try:
            yield {"webhook": f"http://127.0.0.1:{http.server_port}/"}, came
        finally:
            http.shutdown()
            thread.join()


@contextlib.contextmanager
def poller(server: Server) -> Iterator[tuple[dict[str, object], Callable[[], str]]]:
    sizes: list[int] = []

    def poll() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/predictions/{ID}", timeout=60) as answer:
            sizes.append(len(answer.read()))

    with repeatedly(poll, POLL_EVERY) as took:
        yield (
            {},
            lambda: (
                f"{len(sizes)} answers, {sum(sizes) / 2**20:.1f} MiB in all, the slowest after {max(took) * 1e3:.0f} ms"
            ),
        )


@contextlib.contextmanager
def reader(server: Server, *, stops: bool = False) -> Iterator[tuple[dict[str, object], Callable[[], str]]]:
    """Somebody who reads the events; or, if it `stops`, nothing more once the first has come, until the prediction has
    ended."""
    got, last, go_on = 0, b"", threading.Event()
    if not stops:
        go_on.set()

    def read() -> None:
        nonlocal got, last
        with attached(server, 65536 if stops else 1 << 20) as sock:
            go_on.wait()
            while data := sock.recv(1 << 16):
                got += (last[1 - len(_EVENT) :] + data).count(_EVENT)  # one may lie across two reads
                last = (last + data)[-2000:]

    thread = threading.Thread(target=read)
    thread.start()

    def came() -> str:
        go_on.set()
        thread.join()
        return f"{got:,} chunks and {'the end' if b'-end' in last else 'then it was dropped'}"

    try:
        yield {}, came
    finally:
        go_on.set()
        thread.join()


def attached(server: Server, buffer: int) -> socket.socket:
    """A connection on which the events come, as soon as there is a prediction; `buffer` is what the system holds of what
    is not read."""
    head = (
        f"GET /predictions/{ID} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
    )
    while True:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(head.encode())
        if sock.recv(12) == b"HTTP/1.1 200":
            return sock
        sock.close()
        time.sleep(0.005)


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[tuple[dict[str, object], Callable[[], str]]]:
    with reader(server, stops=True) as found:
        yield found


BESIDE: dict[str, Callable[[Server], Beside]] = {
    "nobody": nobody,
    "webhooks": receiver,
    "a poll every 0.5 s": poller,
    "a reader": reader,
    "a reader who stops": stopped,
}


if __name__ == "__main__":
    main()
