"""Clients that stop half way, or drip, or do not read: hung up on, alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cog.server.listener import Listener, bind
from cog.server.wire import Receive, Scope, Send
from support.serving import Server, until
from support.sockets import ADDING, Raw, get, post, quiet, raw

CREATE = "POST /predictions HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Iterator[Server]:
    started: Server = serve_once(ADDING, "--client-timeout", "0.5")
    yield started
    quiet(started)


@pytest.fixture
def connection(server: Server) -> Iterator[Raw]:
    with raw(server) as opened:
        yield opened


class Drip:
    """Sends a byte now and then until it is told to stop, or until nobody takes it any more."""

    def __init__(self, connection: Raw, data: bytes, every: float = 0.1) -> None:
        self._stop = threading.Event()
        self._connection, self._data, self._every = connection, data, every
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._connection.send(self._data)
            except OSError:
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.mark.parametrize("begun", ["G", "GET /live HTTP/1.1\r\n", "GET /live HTTP/1.1\r\nHost: x\r\nA"])
def test_a_head_that_is_not_completed_is_408(connection: Raw, begun: str) -> None:
    connection.send(begun)
    before = time.monotonic()
    connection.refused(408, "not complete within 0.5 seconds")
    assert 0.4 < time.monotonic() - before < 6


def test_a_head_that_drips_is_408(connection: Raw) -> None:
    connection.send("GET /live HTTP/1.1\r\nHost: x\r\nA: ")
    before = time.monotonic()
    with Drip(connection, b"a"):
        connection.refused(408)
    assert time.monotonic() - before < 6


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("dripping", [True, False])
def test_a_body_that_stops_or_drips_is_408_and_nothing_runs(
    server: Server, connection: Raw, framing: str, dripping: bool
) -> None:
    connection.send(CREATE + framing + "\r\n\r\n")
    if dripping:
        with Drip(connection, b" " if framing.startswith("C") else b"1\r\n \r\n"):
            connection.refused(408, "1,024 bytes a second are the least")
    else:
        connection.refused(408, "1,024 bytes a second are the least")


def test_a_body_that_is_slow_but_goes_on_is_read(connection: Raw) -> None:
    data = post({"x": 5}, padding="x" * 5_000)
    head, _, body = data.partition(b"\r\n\r\n")
    connection.send(head + b"\r\n\r\n")
    pace = threading.Event()
    for start in range(0, len(body), 400):
        connection.send(body[start : start + 400])
        pace.wait(0.1)  # 4,000 bytes a second, for longer than the timeout
    assert connection.answer().json()["output"] == 6


def test_a_body_that_nobody_wants_has_to_come_too(connection: Raw) -> None:
    connection.send(get("/live", "Content-Length: 10") + b"12345")
    assert connection.answer().status == 200
    connection.ended()


def test_a_client_behind_a_long_prediction_is_not_slow(server: Server, connection: Raw) -> None:
    """Neither the one that waits for its answer, nor the one whose next request is not read meanwhile."""
    long = post({"hold": "long"})
    connection.send(long + post({"x": 2}) + b"GET /live HT")
    server.wait_file("long")
    threading.Event().wait(1.2)  # longer than the timeout
    (server.folder / "long.go").touch()
    assert connection.answer().json()["output"] == 2
    assert connection.answer().json()["output"] == 3
    connection.refused(408)


def memory(server: Server) -> int:
    """Its resident memory in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_a_client_that_does_not_read_is_hung_up_on_and_its_memory_is_freed(serve: Any) -> None:
    server: Server = serve(ADDING, "--client-timeout", "0.5", "--keep", "0")
    size = 40_000_000
    before = memory(server)
    with raw(server, receive=4096) as deaf, raw(server) as other:
        deaf.send(post({"size": size}))
        until(lambda: memory(server), lambda now: now > before + size)
        server.wait_health("READY")  # all of the output is there, and the model has a place for others
        for _ in range(5):
            other.works()
        until(lambda: memory(server), lambda now: now < before + size / 2)
        read = 0
        while data := deaf.socket.recv(1 << 20):
            read += len(data)
        assert read < size
        other.works()
    quiet(server)


def test_a_client_that_reads_slowly_but_goes_on_gets_everything(server: Server) -> None:
    size = 5_000_000
    with raw(server, receive=65536) as slow:
        slow.send(post({"size": size}))
        pace = threading.Event()
        while len(slow.left) < size:
            assert slow.more()
            pace.wait(0.0005)
        assert len(slow.answer().json()["output"]) == size
        slow.works()


def test_answers_that_nobody_reads_do_not_pile_up(server: Server) -> None:
    """Pipelined requests wait while their client does not take the answers to the earlier ones."""
    with raw(server, receive=4096) as deaf:
        before = memory(server)
        deaf.send(get("/docs") * 250)
        deaf.send(get("/live"))
        assert memory(server) < before + 40_000_000
        for _ in range(250):
            assert deaf.answer().status == 200
        assert deaf.answer().json() == {"status": "READY"}
        deaf.works()


# Idle ones. The time they get is not an option; so the listener is tested by itself.


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    body = message["body"]
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("sent", [b"", get("/"), get("/") * 3])
def test_an_idle_connection_is_closed_after_its_time(sent: bytes) -> None:
    async def scene() -> None:
        sockets = bind("127.0.0.1", 0)
        listener = Listener(echo, sockets, client_timeout=30, keep_alive=0.5)
        await listener.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets[0].getsockname()[1])
        before = time.monotonic()
        writer.write(sent)
        data = await asyncio.wait_for(reader.read(), 20)
        assert data.count(b"HTTP/1.1 200") == sent.count(b"GET")
        assert 0.4 < time.monotonic() - before < 8
        writer.close()
        await writer.wait_closed()
        await listener.close(5)

    asyncio.run(scene())


def test_a_client_that_asks_again_and_again_is_not_idle() -> None:
    async def scene() -> None:
        sockets = bind("127.0.0.1", 0)
        listener = Listener(echo, sockets, client_timeout=30, keep_alive=0.5)
        await listener.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets[0].getsockname()[1])
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            writer.write(get("/"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.1)  # this is what a client is that asks now and then
        writer.close()
        await writer.wait_closed()
        await listener.close(5)

    asyncio.run(scene())


def test_clients_that_go_away_at_any_point_leave_nothing(server: Server) -> None:
    whole = post({"x": 1})
    for cut in range(0, len(whole) + 1, 9):
        with raw(server) as connection:
            connection.send(whole[:cut])
            if cut % 2:
                connection.reset()
    with raw(server) as connection:
        connection.works()
        connection.socket.shutdown(socket.SHUT_WR)
        connection.ended()
