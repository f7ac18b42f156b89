"""Readers that are slow, go away or stop reading: they harm themselves alone. And what becomes of streams at the server's end."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from support.serving import Server, until
from support.sockets import get, post, raw
from support.steps import body, fresh, let_go
from support.streams import ASYNC, EVENTS, SYNC, chunks, streaming, told


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    found: Server = serve_once(SYNC)
    return found


def memory(server: Server) -> int:
    """The most MiB that the server has ever held."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def attach(server: Server, prediction_id: str) -> Any:
    return streaming(server, "GET", f"/predictions/{prediction_id}")


GATED = "yield 'a'\ngate($name)\nyield 'b'"


# Who leaves


def test_a_prediction_ends_with_the_last_one_who_listens(server: Server) -> None:
    name = fresh()
    with streaming(server, body={"input": body(GATED, name=name)}) as creator:
        prediction_id = next(creator).data["id"]
        with attach(server, prediction_id) as other:
            assert next(other).name == "start"
            creator.leave()
            assert next(other).name == "output"
            assert server.get(f"/predictions/{prediction_id}").json()["status"] == "processing"
    assert server.wait_for(prediction_id)["status"] == "canceled"
    with attach(server, prediction_id) as kept:
        assert chunks(told(kept)) == ["a"]


def test_who_only_looks_on_may_leave(server: Server) -> None:
    name = fresh()
    prediction_id = server.start_async(body(GATED, name=name))
    for _ in range(3):
        with attach(server, prediction_id) as stream:
            assert next(stream).name == "start"
    server.wait_file(name)
    let_go(server, name)
    assert server.wait_for(prediction_id)["output"] == ["a", "b"]


def test_who_has_left_takes_no_place(server: Server) -> None:
    """Also one who had read everything, whose leaving looks like the end of what they send."""
    name, folder = fresh(), Path(f"/proc/{server.process.pid}/fd")
    prediction_id = server.start_async(body(GATED, name=name))
    server.wait_file(name)
    before = len(list(folder.iterdir()))
    with raw(server) as client:
        client.send(get(f"/predictions/{prediction_id}", "Accept: text/event-stream"))
        while b"event: output" not in client.left:
            assert client.more()
    until(lambda: len(list(folder.iterdir())), lambda number: number <= before, 5)
    let_go(server, name)
    assert server.wait_for(prediction_id)["output"] == ["a", "b"]


def test_a_waiting_client_is_not_a_reader(server: Server) -> None:
    """A synchronous prediction that somebody looks on at is still its creator's."""
    name = fresh()
    with raw(server) as creator:
        creator.send(post(body(GATED, name=name), id="watched"))
        server.wait_file(name)
        with attach(server, "watched") as stream:
            assert next(stream).name == "start"
            creator.reset()
            assert stream.until("completed").data["status"] == "canceled"


def test_who_closes_only_their_side_reads_that_it_was_canceled(server: Server) -> None:
    with raw(server) as client:
        client.send(post(body(GATED, name=fresh()), "Accept: text/event-stream"))
        while b"event: output" not in client.left:
            assert client.more()
        client.socket.shutdown(socket.SHUT_WR)
        while client.more():
            pass
        assert b'"status":"canceled"' in client.left
        assert client.left.endswith(b"-end\n\n\r\n0\r\n\r\n")


def test_who_looks_on_with_their_side_closed_gets_everything(server: Server) -> None:
    name = fresh()
    prediction_id = server.start_async(body(GATED, name=name))
    with raw(server) as client:
        client.send(get(f"/predictions/{prediction_id}", "Accept: text/event-stream"))
        client.socket.shutdown(socket.SHUT_WR)
        while b"event: output" not in client.left:
            assert client.more()
        let_go(server, name)
        while client.more():
            pass
    assert client.left.count(b"event: output") == 2
    assert b'"status":"succeeded"' in client.left


def test_an_async_one_ends_with_its_reader_too(serve: Any) -> None:
    server, name = serve(ASYNC), fresh()
    code = "try:\n    yield 1\n    await gate($name)\nfinally:\n    reach($name + 'cleaned')"
    with streaming(server, body={"input": body(code, name=name)}) as stream:
        prediction_id = next(stream).data["id"]
        server.wait_file(name)
    assert server.wait_for(prediction_id)["status"] == "canceled"
    server.wait_file(f"{name}cleaned")


# Who is slow


def test_a_slow_reader_is_caught_up(server: Server) -> None:
    """More than fits into the sockets, and many more events than are told anew."""
    name = fresh()
    code = "for n in range(20_000): yield str(n) + 'x' * 500\nreach($name)"
    with raw(server, receive=65536) as client:
        client.send(post(body(code, name=name), "Accept: text/event-stream"))
        server.wait_file(name)  # the model has waited for nobody
        while not client.left.endswith(b"\r\n0\r\n\r\n"):
            assert client.more()
    assert client.left.count(b"event: output\n") == 20_000
    assert client.left.count(b"event: completed\n") == 1


FLOOD = """
    reach($name + "begun")
    gate($name)
    for n in range(100):
        for part in range(16): print(chr(97 + n % 26) * 65535)
        yield n
    reach($name + "done")
"""


@pytest.mark.slow
def test_a_reader_who_stops_harms_nobody(server: Server) -> None:
    """100 MiB are printed. Who has created the prediction reads nothing of them (J10), another one reads all."""
    name, got = fresh(), bytearray()
    with raw(server, receive=65536) as stopped, raw(server) as eager:
        stopped.send(post(body(FLOOD, name=name), "Accept: text/event-stream", id=name))
        server.wait_file(f"{name}begun")
        eager.send(get(f"/predictions/{name}", "Accept: text/event-stream"))
        while b"event: start" not in eager.left:
            assert eager.more()
        before = memory(server)

        def read() -> None:
            while not got.endswith(b"\r\n0\r\n\r\n"):
                data = eager.socket.recv(1 << 20)
                assert data
                got.extend(data)

        reader = threading.Thread(target=read)
        reader.start()
        let_go(server, name)
        server.wait_file(f"{name}done")
        reader.join()
        shown = server.wait_for(name)
        assert (shown["status"], len(shown["output"])) == ("succeeded", 100)
        assert (
            memory(server) - before < 150
        )  # the logs of 16 MiB are there several times while the end is written
        seen = b""
        while not seen.endswith(b"\r\n0\r\n\r\n"):
            seen = seen[-1000:] + stopped.socket.recv(1 << 20)
        assert b"SSE stream lagged; events were dropped" in seen
        assert b"event: completed" not in seen
    assert got.count(b"event: output\n") == 100
    events = got[: got.index(b"event: completed")]
    assert sum(events.count(bytes([letter]) * 65535) for letter in range(97, 123)) == 1600
    assert b"SSE stream lagged" not in got


def test_who_reads_nothing_for_too_long_is_hung_up_on_alone(serve: Any) -> None:
    server, name = serve(SYNC, "--client-timeout", "1"), fresh()
    code = "for n in range(100): yield 'x' * 100_000\ngate($name)\nyield 'last'"
    with raw(server, receive=4096) as stopped:
        stopped.send(post(body(code, name=name), "Accept: text/event-stream", id=name))
        server.wait_file(name)
        connections = f"/proc/{server.process.pid}/fd"
        held = len(list(Path(connections).iterdir()))
        until(lambda: len(list(Path(connections).iterdir())), lambda number: number < held)
        assert server.get(f"/predictions/{name}").json()["status"] == "processing"
        let_go(server, name)
        assert server.wait_for(name)["output"][-1] == "last"


@pytest.mark.slow
def test_silence_is_broken_every_15_seconds(server: Server) -> None:
    first, second = fresh(), fresh()
    code = "gate($first)\nyield 'a'\ngate($second)"
    with streaming(server, body={"input": body(code, first=first, second=second)}, timeout=40) as stream:
        assert next(stream).name == "start"
        for name, event in ((first, "output"), (second, "completed")):
            assert stream.response.readline() == b": keep-alive\n"
            assert stream.response.readline() == b"\n"
            let_go(server, name)
            assert next(stream).name == event
        assert stream.comments == []


# The end of the server


def test_open_streams_are_told_to_their_end(serve: Any) -> None:
    server, name = serve(ASYNC), fresh()
    code = "yield 1\nawait gate($name)\nyield 2"
    with streaming(server, body={"input": body(code, name=name)}) as creator:
        prediction_id = next(creator).data["id"]
        with attach(server, prediction_id) as other:
            assert [next(other).name, next(other).name] == ["start", "output"]
            server.call("POST", "/shutdown")
            with streaming(server, "GET", f"/predictions/{prediction_id}") as late:
                assert late.headers["connection"] == "close"
                let_go(server, name)
                assert chunks(told(late)) == [1, 2]
            assert chunks(told(other)) == [2]
        assert told(creator)[-1].data["status"] == "succeeded"
    assert server.process.wait(30) == 0


def test_what_is_canceled_at_the_end_is_told_so(serve: Any) -> None:
    server = serve(SYNC, "--drain-timeout", "0.2")
    with streaming(server, body={"input": body(GATED, name=fresh())}) as stream:
        assert [next(stream).name, next(stream).name] == ["start", "output"]
        server.call("POST", "/shutdown")
        (completed,) = told(stream)
        assert (completed.name, completed.data["status"]) == ("completed", "canceled")
    assert server.process.wait(30) == 0


def test_nobody_is_left_over(server: Server) -> None:
    """After all of this the server is as it was, and has said nothing of errors."""
    with streaming(server, body={"input": body("yield 1")}, headers=EVENTS) as stream:
        assert chunks(told(stream)) == [1]
    assert server.health()["status"] == "READY"
    assert not {line.get("level") for line in server.lines} & {"ERROR"}, server.log
