"""Many connections, many requests on one, and what becomes of a client that closes its side."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cog.server.addresses import routed
from cog.server.app import Application
from cog.server.create import Create
from cog.server.listener import Listener, bind
from cog.server.routes import Routes
from cog.server.wire import Receive, Scope, Send
from support.serving import Server, until
from support.sockets import ADDING, get, port_of, post, quiet, raw


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Iterator[Server]:
    started: Server = serve_once(ADDING)
    yield started
    quiet(started)


# Several requests at once on one connection


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    sent = [post({"x": n}) + get("/live") + get(f"/predictions/none-{n}") for n in range(40)]
    with raw(server) as connection:
        connection.send(b"".join(sent))
        for n in range(40):
            assert connection.answer().json()["output"] == n + 1
            assert connection.answer().json() == {"status": "READY"}
            assert connection.answer().status == 404
        connection.works()


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_however_they_are_cut(server: Server, piece: int) -> None:
    sent = (post({"x": 1}) + get("/live") + post({"x": 2})) * 2
    with raw(server) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), piece):
            connection.send(sent[start : start + piece])
        for _ in range(2):
            assert connection.answer().json()["output"] == 2
            assert connection.answer().status == 200
            assert connection.answer().json()["output"] == 3
        connection.works()


def test_a_get_behind_a_post_sees_what_it_did(server: Server) -> None:
    with raw(server) as connection:
        connection.send(post({"x": 1}, id="seen") + get("/predictions/seen") + get("/live"))
        assert connection.answer().json()["status"] == "succeeded"
        assert connection.answer().json()["output"] == 2
        assert connection.answer().status == 200


def test_a_cancel_behind_its_own_prediction_comes_after_it(server: Server) -> None:
    """Answers have an order, so the cancel is looked at when the prediction has ended: 404. Another connection cancels."""
    with raw(server) as connection:
        connection.send(post({"hold": "own"}, id="own") + get("/predictions/own/cancel", method="POST"))
        server.wait_file("own")
        assert server.call("POST", "/predictions/own/cancel").status == 200
        assert connection.answer().json()["status"] == "canceled"
        assert connection.answer().status == 404
        connection.works()


def test_a_bad_request_behind_good_ones_is_refused_in_its_turn(server: Server) -> None:
    with raw(server) as connection:
        connection.send(post({"hold": "turn"}) + get("/live") + b"nonsense\r\n\r\n" + get("/live"))
        server.wait_file("turn")
        (server.folder / "turn.go").touch()
        assert connection.answer().json()["output"] == 2
        assert connection.answer().status == 200
        connection.refused(400)


@pytest.mark.parametrize("piece", [1 << 20, 5000])
def test_thousands_of_requests_that_wait_for_nothing_are_all_answered(server: Server, piece: int) -> None:
    sent = (get("/live") * 30 + post({"x": 1})) * 100
    with raw(server) as connection:

        def send() -> None:
            for start in range(0, len(sent), piece):
                connection.send(sent[start : start + piece])

        sender = threading.Thread(target=send)
        sender.start()
        for number in range(3100):
            answer = connection.answer()
            assert answer.status == 200
            assert (answer.json().get("output") == 2) is (number % 31 == 30)
        sender.join(20)
        connection.works()


def test_shutdown_answers_what_is_on_its_connection(serve: Any) -> None:
    server: Server = serve(ADDING)
    with raw(server) as connection:
        connection.send(get("/shutdown", method="POST") + get("/live") + post({}))
        assert connection.answer().json() == {}
        assert connection.answer().status == 200
        assert connection.answer().status == 503
        connection.ended()
    assert server.process.wait(20) == 0


# Clients that close their side


@pytest.mark.parametrize("path", ["/live", "/health-check", "/openapi.json", "/docs", "/predictions"])
def test_a_half_closed_client_gets_its_answer(server: Server, path: str) -> None:
    with raw(server) as connection:
        connection.send(get(path) + get(path))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.answer().status == 200
        assert connection.answer().status == 200
        connection.ended()


def test_a_half_closed_client_of_an_async_prediction_too(server: Server) -> None:
    with raw(server) as connection:
        connection.send(post({"x": 3}, "Prefer: respond-async", id="half-async"))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.answer().status == 202
        connection.ended()
    assert server.wait_for("half-async")["output"] == 4


def test_a_client_that_closes_its_side_cancels_its_prediction_and_is_told_so(server: Server) -> None:
    """A client that hangs up sends just this; which of both it is nobody can tell before the answer is written."""
    with raw(server) as connection:
        connection.send(post({"hold": "half"}, id="half"))
        server.wait_file("half")
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.answer().json()["status"] == "canceled"
        connection.ended()


@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_is_gone_cancels_and_no_slot_is_lost(server: Server, reset: bool) -> None:
    for number in range(5):
        name = f"gone-{reset}-{number}"
        with raw(server) as connection:
            connection.send(post({"hold": name}, id=name) + get("/live") * 3)
            server.wait_file(name)
            if reset:
                connection.reset()
        assert server.wait_for(name)["status"] == "canceled"
        until(server.health, lambda health: health["status"] == "READY")


@pytest.mark.parametrize("size", [70_000, 900_000])
def test_a_client_that_is_gone_after_a_large_body_cancels(server: Server, size: int) -> None:
    """More of it comes in one go than is kept for a slow reader: reading stops, and has to go on at its end."""
    name = f"gone-large-{size}"
    with raw(server) as connection:
        connection.send(post({"hold": name}, id=name, padding="x" * size))
        server.wait_file(name)
    assert server.wait_for(name)["status"] == "canceled"


def test_a_request_that_is_cut_off_is_400_for_who_still_reads(server: Server) -> None:
    whole = post({"x": 1}, id="cut")
    with raw(server) as connection:
        connection.send(get("/live") + whole[:-3])
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.answer().status == 200
        connection.refused(400, "before its request was complete")
    assert server.get("/predictions/cut").status == 404


# Many connections


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), timeout=20)


def test_3000_idle_connections_are_no_matter(serve: Any) -> None:
    """The server lets itself have more open files than it was started with; the model has what the server had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8000:
        pytest.skip("so many open files are not allowed here")
    code = "import resource\nfrom cog import BaseRunner\nclass Runner(BaseRunner):\n    def run(self, x: int = 1) -> list[int]:\n"
    code += "        return list(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        server: Server = serve(code)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8000), hard))
    idle: list[socket.socket] = []
    try:
        idle.extend(connected(server) for _ in range(3000))
        limits = server.predict()
        assert (limits.status, limits.json()["output"]) == (200, [1024, hard])
        for one in idle[::300]:
            one.sendall(get("/live"))
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) > 3000
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert server.predict().status == 200


@pytest.mark.parametrize("uvloop", [True, False])
def test_when_no_descriptor_is_left_the_idle_ones_make_room(serve: Any, tmp_path: Path, uvloop: bool) -> None:
    limited = tmp_path / "python"
    limited.write_text(f'#!/bin/sh\nulimit -n 300\nexec {sys.executable} "$@"\n')
    limited.chmod(0o755)
    server: Server = serve(ADDING, python=str(limited), env=None if uvloop else without_uvloop(tmp_path))
    idle: list[socket.socket] = []
    try:
        idle.extend(connected(server) for _ in range(600))
        for n in range(20):
            answer = server.predict({"x": n})
            assert (answer.status, answer.json()["output"]) == (200, n + 1)
        closed = 0
        for one in idle[:400]:
            closed += one.recv(10) == b""
        assert closed == 400
        server.wait_log("open files")
    finally:
        for one in idle:
            one.close()
    assert server.predict({"x": 1}).status == 200
    assert server.log.count("open files") < 5
    assert "Traceback" not in server.log


# asyncio's own loop


def without_uvloop(folder: Path) -> dict[str, str]:
    """The environment of a server that cannot import it."""
    (folder / "uvloop.py").write_text("raise ImportError")
    return {"PYTHONPATH": str(folder)}


def test_a_client_that_is_gone_before_its_refusal_is_no_error(serve: Any, tmp_path: Path) -> None:
    server: Server = serve(ADDING, env=without_uvloop(tmp_path))
    for number in range(400):
        with raw(server) as connection:
            connection.send([b"nonsense\r\n\r\n", get("/live", "Connection: close")][number % 2])
    quiet(server)


# Defects of ours


async def ask(app: Any, *sent: bytes) -> bytes:
    sockets = bind("127.0.0.1", 0)
    at_once = app.at_once if isinstance(app, Application) else lambda _: False
    listener = Listener(app, sockets, client_timeout=5, at_once=at_once)
    await listener.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", sockets[0].getsockname()[1])
    for one in sent:
        writer.write(one)
    data = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    await listener.close(5)
    return data


class Broken(Create):
    def __init__(self) -> None:
        """Without anything, so that whatever it is asked fails."""


class BrokenRoutes(Routes):
    def __init__(self) -> None:
        """As above."""


@pytest.mark.parametrize(
    "request_", [post({"x": 1}), get("/predictions/a", "Content-Length: 0", method="PUT"), get("/ready"), get("/openapi.json")]
)  # fmt: skip
def test_a_defect_is_a_500_in_json_and_logged_once(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    app = Application(Broken(), lambda: routed(Broken(), BrokenRoutes()))
    data = asyncio.run(ask(app, request_, get("/docs", "Connection: close")))
    assert data.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b'{"error":"an error of the server; its log says more","status":"failed"}' in data
    assert data.count(b"HTTP/1.1 200 OK") == 1  # the connection is still good
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert "AttributeError" in str(record.exc_info)


def test_one_in_what_needs_no_task_is_no_other(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(Broken(), lambda: routed(Broken(), BrokenRoutes()))
    known = post({"x": 1})
    data = b""

    async def one_after_another() -> None:
        nonlocal data
        sockets = bind("127.0.0.1", 0)
        listener = Listener(app, sockets, client_timeout=5, at_once=app.at_once)
        await listener.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets[0].getsockname()[1])
        for _ in range(4):
            writer.write(known)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            data += head + await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
        await listener.close(5)

    asyncio.run(one_after_another())
    assert data.count(b"HTTP/1.1 500 Internal Server Error\r\n") == 4
    assert data.count(b'{"error":"an error of the server; its log says more","status":"failed"}') == 4
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(records) == 4


def test_an_answer_that_fails_half_way_is_no_whole_one(caplog: pytest.LogCaptureFixture) -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("a defect")

    try:
        data = asyncio.run(ask(half, get("/")))
    except ConnectionResetError:
        data = b""
    assert b"0\r\n\r\n" not in data
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"type": "http.response.body", "body": b""}],
        [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]}],
        [{"type": "http.response.start", "status": 200, "headers": []}] * 2,
        [
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]},
            {"type": "http.response.body", "body": b"four"},
        ],
    ],
)
def test_an_application_that_breaks_the_rules_is_found_out(
    messages: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    try:
        data = asyncio.run(ask(wrong, get("/", "Connection: close")))
    except ConnectionResetError:
        data = b""
    assert not data or data.startswith(b"HTTP/1.1 500") or not data.endswith(b"0\r\n\r\n")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_answers_in_parts_are_chunked_or_end_with_the_connection() -> None:
    async def parts(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"", b"two" * 50_000, b"three"):
            await send({"type": "http.response.body", "body": part, "more_body": part != b"three"})
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    data = asyncio.run(ask(parts, get("/", "Connection: close")))
    assert b"transfer-encoding: chunked\r\n" in data
    assert data.endswith(b"\r\n5\r\nthree\r\n0\r\n\r\n")
    data = asyncio.run(ask(parts, b"GET / HTTP/1.0\r\n\r\n"))
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"one" + b"two" * 50_000 + b"three"
    assert data.count(b"connection: close") == 1
