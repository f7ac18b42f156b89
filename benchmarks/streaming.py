"""How soon a chunk is on the wire after its `yield`, and how many chunks a second an event stream carries.

    python -m benchmarks.streaming [--rounds 5] [--chunks 500] [--flood 200000] [--no-reference]

The released Cog takes turns with this server, so that a machine that becomes slower meets both; see `servers.py`.

A model puts the time of its monotonic clock, which is one for all processes, into every chunk; the client takes its own
when the chunk has come. So the delay holds all there is: the worker, the server, the loopback and the client's reading. A
model that waits 5 ms between its chunks shows the delay, one that does not wait the rate. The first chunk is timed from
the last byte of the request to it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import OURS, Contestant, Running, reference, serving, write_model

MODELS = {
    "plain generator": """
import time
from typing import Iterator
from cog import BaseRunner, streaming

class Runner(BaseRunner):
    @streaming
    def run(self, chunks: int = 1, gap: float = 0.0) -> Iterator[str]:
        for _ in range(chunks):
            yield str(time.monotonic_ns())
            if gap:
                time.sleep(gap)
""",
    "async generator": """
import asyncio, time
from typing import AsyncIterator
from cog import BaseRunner, streaming

class Runner(BaseRunner):
    @streaming
    async def run(self, chunks: int = 1, gap: float = 0.0) -> AsyncIterator[str]:
        for _ in range(chunks):
            yield str(time.monotonic_ns())
            if gap:
                await asyncio.sleep(gap)
""",
}
CHUNK = b'data: {"chunk":"'
GAP = 0.005
# Predictions of one chunk, which show how soon the first one is there; and seconds of rest before each, so that none
# meets the end of the one before it.
FIRSTS = 40
REST = 0.01
# A server that refuses a request right after the answer to the one before is asked again, so often.
TRIES = 200


class Result(NamedTuple):
    """Milliseconds from the request to the first chunk, from `yield` to the client, and chunks per second."""

    first: float
    median: float
    p99: float
    rate: float


class Refused(Exception):
    """There was no place."""


def read(port: int, *, chunks: int, gap: float) -> Iterator[tuple[int, bytes]]:
    """The pieces of one event stream as they come, each with its time in nanoseconds; first one that is empty, with
    the time at which all of the request was sent.

    Raises:
        Refused: the answer was 409.
    """
    body = json.dumps({"input": {"chunks": chunks, "gap": gap}}).encode()
    head = (
        "POST /predictions HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head.encode() + body)
        sent = time.monotonic_ns()
        data = sock.recv(1 << 20)
        if data.startswith(b"HTTP/1.1 409"):
            raise Refused
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"no stream came, but {data[:500]!r}")
        yield sent, b""
        while data:
            yield time.monotonic_ns(), data
            data = sock.recv(1 << 20)


def read_all(port: int, *, chunks: int, gap: float) -> list[tuple[int, bytes]]:
    """The same, kept: nothing is done between two pieces but looking at the clock."""
    for _ in range(TRIES):
        with contextlib.suppress(Refused):
            return list(read(port, chunks=chunks, gap=gap))
        time.sleep(REST)
    raise SystemExit(f"refused {TRIES} times")


def firsts(port: int) -> float:
    """Milliseconds from the request to the first chunk: the median of some predictions."""
    found = []
    for _ in range(FIRSTS):
        time.sleep(REST)
        (sent, _), *pieces = read_all(port, chunks=1, gap=0.0)
        came, seen = sent, b""
        for at, data in pieces:
            seen += data
            if CHUNK in seen:
                came = at
                break
        assert came > sent, seen
        found.append((came - sent) / 1e6)
    return statistics.median(found)


def delays(port: int, chunks: int) -> tuple[float, float]:
    """Median and 99th percentile of one prediction whose chunks come one by one."""
    found: list[float] = []
    left = b""
    for at, data in read_all(port, chunks=chunks, gap=GAP):
        *events, left = (left + data).split(b"\n\n")
        found += [(at - yielded(event)) / 1e6 for event in events if CHUNK in event]
    if len(found) != chunks:
        raise SystemExit(f"{len(found)} chunks came of {chunks}")
    return statistics.median(found), statistics.quantiles(found, n=100)[98]


def yielded(event: bytes) -> int:
    """When the model has put out this chunk."""
    return int(event.partition(CHUNK)[2].partition(b'"')[0])


def rate(port: int, chunks: int) -> float:
    """Chunks per second of one prediction that never waits, from the request to the end of the stream."""
    # Only joined and counted: the client must not be what is measured.
    pieces = read_all(port, chunks=chunks, gap=0.0)
    whole = b"".join(data for _, data in pieces)
    came = whole.count(CHUNK)
    if came != chunks or b"event: completed" not in whole:
        raise SystemExit(f"{came} chunks came of {chunks}: ...{whole[-200:]!r}")
    return chunks / (pieces[-1][0] - pieces[0][0]) * 1e9


def measure(server: Running, chunks: int, flood: int) -> Result:
    """One round."""
    return Result(firsts(server.port), *delays(server.port, chunks), rate(server.port, flood))


def compete(contestants: Sequence[Contestant], folder: Path, options: argparse.Namespace) -> list[Result]:
    """The medians of each, who take turns; the first round warms up."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(each, folder)) for each in contestants]
        rounds: list[list[Result]] = []
        for number in range(options.rounds + 1):
            size = (options.chunks, options.flood) if number else (20, 1000)
            rounds.append([measure(server, *size) for server in servers])
        return [
            Result(*map(statistics.median, zip(*results, strict=True)))
            for results in zip(*rounds[1:], strict=True)
        ]


def main() -> None:
    """Measure and print a Markdown table of medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--chunks", type=int, default=500, help="chunks that show the delay (default: 500)")
    parser.add_argument(
        "--flood", type=int, default=200_000, help="chunks that show the rate (default: 200000)"
    )
    parser.add_argument("--no-reference", action="store_true", help="only this server, without the network")
    options = parser.parse_args()
    contestants = [OURS] if options.no_reference else [OURS, reference()]
    print("| model | server | first chunk | median delay | p99 | chunks/s |")
    print("|---|---|--:|--:|--:|--:|")
    for name, source in MODELS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_model(folder, source)
            for contestant, result in zip(contestants, compete(contestants, folder, options), strict=True):
                print(
                    f"| {name} | {contestant.name} | {result.first:.2f} ms | {result.median:.2f} ms "
                    f"| {result.p99:.2f} ms | {result.rate:,.0f} |"
                )


if __name__ == "__main__":
    main()
