"""How soon a chunk is on the wire after its `yield`, and how many chunks a second an event stream carries.

    python benchmarks/streaming.py [--rounds 5] [--chunks 500] [--flood 200000] [--python OTHER/bin/python]

A model puts the time of its monotonic clock, which is one for all processes, into every chunk; the client takes its own
when the chunk has come. So the delay holds all there is: the worker, the server, the loopback and the client's reading. A
model that waits 5 ms between its chunks shows the delay, one that does not wait the rate. With `--python` the server is
another one, for example Replicate's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
# Other servers stream only what a file in the model's folder says that it streams.
SCHEMA = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "paths": {"/predictions": {"post": {"x-cog-streaming": True}}},
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "title": "Input",
                "properties": {
                    "chunks": {"type": "integer", "default": 1, "x-order": 0},
                    "gap": {"type": "number", "default": 0, "x-order": 1},
                },
            },
            "Output": {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
        }
    },
}
CHUNK = b'data: {"chunk":"'
GAP = 0.005


class Delays(NamedTuple):
    """Milliseconds from `yield` to the client."""

    first: float
    median: float
    p99: float


@contextlib.contextmanager
def serving(python: str, folder: Path) -> Iterator[int]:
    """A server of the model in `folder` that is ready; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    environment = os.environ | {"PORT": str(port), "LOG_FORMAT": "json", "COG_LOG_LEVEL": "error"}
    environment["COG_PREDICT_TYPE_STUB"] = "run.py:Runner"
    environment["PATH"] = f"{Path(python).parent}{os.pathsep}{environment['PATH']}"
    process = subprocess.Popen(
        [python, "-m", "cog.server.http", "--host", "127.0.0.1"], cwd=folder, env=environment
    )
    try:
        deadline = time.monotonic() + 60
        while not ready(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{python} does not serve {folder}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def ready(port: int) -> bool:
    """True when a prediction streams."""
    try:
        return bool(list(read(port, chunks=1, gap=0.0)))
    except OSError:
        return False


def read(port: int, *, chunks: int, gap: float) -> Iterator[tuple[int, bytes]]:
    """The pieces of one event stream as they come, each with its time in nanoseconds. Nothing when it is refused."""
    body = json.dumps({"input": {"chunks": chunks, "gap": gap}}).encode()
    head = (
        "POST /predictions HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head.encode() + body)
        first = True
        while data := sock.recv(1 << 20):
            if first and not data.startswith(b"HTTP/1.1 200"):
                return
            first = False
            yield time.monotonic_ns(), data


def delays(port: int, chunks: int) -> Delays:
    """Of one prediction whose chunks come one by one."""
    found: list[float] = []
    left = b""
    for at, data in read(port, chunks=chunks, gap=GAP):
        *events, left = (left + data).split(b"\n\n")
        found += [(at - yielded(event)) / 1e6 for event in events if CHUNK in event]
    if len(found) != chunks:
        raise SystemExit(f"{len(found)} chunks came of {chunks}")
    return Delays(found[0], statistics.median(found), statistics.quantiles(found, n=100)[98])


def yielded(event: bytes) -> int:
    """When the model has put out this chunk."""
    return int(event.partition(CHUNK)[2].partition(b'"')[0])


def rate(port: int, chunks: int) -> float:
    """Chunks per second of one prediction that never waits."""
    begun = time.monotonic()
    # Only joined and counted: the client must not be what is measured.
    whole = b"".join(data for _, data in read(port, chunks=chunks, gap=0.0))
    spent = time.monotonic() - begun
    came = whole.count(CHUNK)
    if came != chunks or b"event: completed" not in whole:
        raise SystemExit(f"{came} chunks came of {chunks}: ...{whole[-200:]!r}")
    return chunks / spent


def main() -> None:
    """Measure and print a Markdown table of medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--chunks", type=int, default=500, help="chunks that show the delay (default: 500)")
    parser.add_argument(
        "--flood", type=int, default=200_000, help="chunks that show the rate (default: 200000)"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="the Python of the server (default: this one)"
    )
    options = parser.parse_args()
    print("| model | first chunk | median delay | p99 | chunks/s |")
    print("|---|--:|--:|--:|--:|")
    for name, source in MODELS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "run.py").write_text(source)
            (folder / "cog.yaml").write_text('run: "run.py:Runner"\n')
            if options.python != sys.executable:
                (folder / ".cog").mkdir()
                (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(SCHEMA))
            with serving(options.python, folder) as port:
                delayed = [delays(port, options.chunks) for _ in range(options.rounds)]
                rates = [rate(port, options.flood) for _ in range(options.rounds)]
        first, median, p99 = map(statistics.median, zip(*delayed, strict=True))
        print(
            f"| {name} | {first:.2f} ms | {median:.2f} ms | {p99:.2f} ms | {statistics.median(rates):,.0f} |"
        )


if __name__ == "__main__":
    main()
