"""Event streams, by clients that only read and look at the clock: they must not be what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from benchmarks.contestant import Server
from benchmarks.load import Effort, Outcome
from benchmarks.processes import all_processor_seconds
from benchmarks.works import Work

CHUNK: Final = b'data: {"chunk":"'
COMPLETED: Final = b"event: completed"
GAP: Final = 0.005  # seconds between the chunks that show the delay
FIRSTS: Final = 40  # predictions of one chunk
REST: Final = 0.01  # seconds before each, so that none meets the end of the one before
TRIES: Final = 200  # of a server that refuses a request right after the answer before
STREAMS: Final = 32


class Refused(Exception):
    """There was no place."""


def request(server: Server, **input: object) -> bytes:
    """One that asks for events, and for the end of the connection."""
    body = server.body(input)
    head = (
        f"POST {server.path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def judge(data: bytes) -> None:
    """Look at the beginning of an answer.

    Raises:
        Refused: it is 409.
        ValueError: it is no stream.
    """
    if data.startswith(b"HTTP/1.1 409"):
        raise Refused
    if not data.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"no stream came, but {data[:500]!r}")


def pieces(server: Server, **input: object) -> Iterator[tuple[int, bytes]]:
    """A stream as it comes, each piece with its time in nanoseconds; first an empty one, when all was sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request(server, **input))
        sent = time.monotonic_ns()
        data = sock.recv(1 << 20)
        judge(data)
        yield sent, b""
        while data:
            yield time.monotonic_ns(), data
            data = sock.recv(1 << 20)


def whole(server: Server, **input: object) -> list[tuple[int, bytes]]:
    """All pieces; asked for again when there is no place."""
    for _ in range(TRIES):
        with contextlib.suppress(Refused):
            return list(pieces(server, **input))
        time.sleep(REST)
    raise ValueError(f"refused {TRIES} times")


def complete(text: bytes, chunks: int) -> None:
    """Look at all of a stream.

    Raises:
        ValueError: chunks are missing, or the end is.
    """
    came = text.count(CHUNK)
    if came != chunks or COMPLETED not in text:
        raise ValueError(f"{came} chunks came of {chunks}: ...{text[-200:]!r}")


def rate(server: Server, work: Work, effort: Effort) -> Outcome:
    """Chunks per second of one stream that never waits, from the request to its end."""
    whole(server, chunks=100)
    before = all_processor_seconds(server.mark)
    found = whole(server, chunks=effort.flood)
    computed = (all_processor_seconds(server.mark) - before) / effort.flood
    complete(b"".join(data for _, data in found), effort.flood)
    rate = effort.flood / (found[-1][0] - found[0][0]) * 1e9
    return Outcome(rate, remark=f"processor {computed * 1e6:.0f} µs each")


def first(server: Server, work: Work, effort: Effort) -> Outcome:
    """Milliseconds from the request to the first chunk: the median of some predictions of one chunk."""
    found = []
    for _ in range(FIRSTS):
        time.sleep(REST)
        (sent, _), *rest = whole(server, chunks=1)
        seen = b""
        for at, data in rest:
            seen += data
            if CHUNK in seen:
                found.append((at - sent) / 1e6)
                break
    if len(found) != FIRSTS:
        raise ValueError(f"a chunk came of {len(found)} predictions, not of {FIRSTS}")
    return Outcome(statistics.median(found))


def delay(server: Server, work: Work, effort: Effort) -> Outcome:
    """Milliseconds from the model's `yield` to the client, the median: the model puts its clock into the chunk."""
    found: list[float] = []
    left = b""
    for at, data in whole(server, chunks=effort.drops, gap=GAP):
        *events, left = (left + data).split(b"\n\n")
        found += [(at - _yielded(event)) / 1e6 for event in events if CHUNK in event]
    if len(found) != effort.drops:
        raise ValueError(f"{len(found)} chunks came of {effort.drops}")
    return Outcome(statistics.median(found), remark=f"p99 {statistics.quantiles(found, n=100)[98]:.2f} ms")


def _yielded(event: bytes) -> int:
    return int(event.partition(CHUNK)[2].partition(b'"')[0])


class Together(NamedTuple):
    """Chunks per second of all streams, and microseconds of the server's processors for each chunk."""

    rate: float
    computed: float


def flat(server: Server, work: Work, effort: Effort) -> Outcome:
    """Chunks per second of 32 streams at once, all together, as a multiple of what one stream has."""
    together(server, 1, 100)
    one, many = together(server, 1, effort.flood), together(server, STREAMS, effort.each)
    told = ", ".join(
        f"{each.rate:,.0f} chunks/s of {streams} at {each.computed:.0f} µs of processor"
        for streams, each in ((1, one), (STREAMS, many))
    )
    return Outcome(many.rate / one.rate, remark=told)


def together(server: Server, streams: int, chunks: int) -> Together:
    """So many streams at once, each of so many chunks."""
    before, begun = all_processor_seconds(server.mark), time.monotonic()
    asyncio.run(_all(server, streams, chunks))
    seconds, computed = time.monotonic() - begun, all_processor_seconds(server.mark) - before
    return Together(streams * chunks / seconds, computed / (streams * chunks) * 1e6)


async def _all(server: Server, streams: int, chunks: int) -> None:
    await asyncio.gather(*(_read(server, chunks) for _ in range(streams)))


async def _read(server: Server, chunks: int) -> None:
    for _ in range(TRIES):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        try:
            writer.write(request(server, chunks=chunks))
            data = [await reader.read(1 << 20)]
            judge(data[0])
            while data[-1]:
                data.append(await reader.read(1 << 20))
            return complete(b"".join(data), chunks)
        except Refused:
            await asyncio.sleep(REST)
        finally:
            writer.close()
    raise ValueError(f"refused {TRIES} times")
