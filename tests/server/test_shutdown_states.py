"""The end of the server from every state it can be in: all answers are given, all webhooks sent, nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.ending import TOLD, Asking, connected, ended, port_of
from support.receiving import Gate, Incoming, Receiver, Reply, receiving
from support.serving import Server, until
from support.steps import body, fresh, let_go, model

SETUP = """
    import ctypes, os, signal, subprocess, time
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            {}
            subprocess.Popen(["sleep", "60"])
            Path("begun").touch()
            ctypes.PyDLL(None).sleep(60)

        def run(self) -> int:
            return 1
"""

FILES = """
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, file: Path) -> Path:
            return file
"""

DYING = """
    import os
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            if Path("once").exists():
                os._exit(3)
            Path("once").touch()

        def run(self) -> int:
            os._exit(4)
"""

BIG = """
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self, size: int) -> str:
            return "x" * size
"""


def begin_the_end(server: Server, how: str = "SIGTERM") -> None:
    TOLD[how](server)
    until(lambda: server.get("/ready").status, lambda status: status == 503)


def deaf(server: Server) -> tuple[Server, list[int], float]:
    """The server is told to end while its worker will not hear of it; ends are waited for together, in the tests."""
    server.process.send_signal(signal.SIGTERM)
    return server, server.workers(), time.monotonic()


@pytest.fixture(scope="module", autouse=True)
def stuck(serve_once: Any) -> dict[str, tuple[Server, list[int], float]]:
    ignoring = SETUP.format("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())")
    servers = {
        "a setup that holds the GIL": serve_once(SETUP.format("pass"), ready=None),
        "a setup that ignores signals": serve_once(ignoring, ready=None),
        "a frozen worker": serve_once(model("sync"), "--cancel-grace", "0.5"),
        "a frozen worker of several": serve_once(model("sync"), "--threads", "2", ready="2 of 2 workers"),
    }
    for server in list(servers.values())[:2]:
        server.wait_file("begun")
    for server in list(servers.values())[2:]:
        os.kill(server.workers()[0], signal.SIGSTOP)
    return {name: deaf(server) for name, server in servers.items()}


@pytest.mark.parametrize("how", ["SIGINT"])
def test_after_a_failed_setup_it_ends_at_once(serve: Any, how: str) -> None:
    server: Server = serve("def nothing(): pass", ready="the model is SETUP_FAILED")
    assert server.health()["status"] == "SETUP_FAILED"
    before = time.monotonic()
    TOLD[how](server)
    ended(server, [])
    assert time.monotonic() - before < 2


@pytest.mark.parametrize(("kind", "how"), list(zip(("sync", "async", "generator"), TOLD, strict=True)))
def test_async_predictions_finish_and_their_webhooks_are_sent(serve: Any, kind: str, how: str) -> None:
    code = {
        "sync": "print('hi')\ngate($gate)\nreturn [1, 2]",
        "async": "print('hi')\nawait async_gate($gate)\nreturn [1, 2]",
        "generator": "yield 1\nprint('hi')\ngate($gate)\nyield 2",
    }[kind]
    with receiving() as hook:
        server: Server = serve(model(kind))
        pids, gate = server.workers(), fresh()
        server.start_async(
            body(code, gate=gate), webhook=f"{hook.url}/a", webhook_events_filter=["completed"], id=gate
        )
        server.wait_file(gate)
        begin_the_end(server, how)
        let_go(server, gate)
        ended(server, pids)
        (told,) = [incoming.json() for incoming in hook.got]
    assert (told["id"], told["status"], told["output"], told["logs"]) == (gate, "succeeded", [1, 2], "hi\n")


def test_what_the_drain_timeout_cancels_sends_its_webhook_too(serve: Any) -> None:
    with receiving() as hook:
        server: Server = serve(model("generator"), "--drain-timeout", "0.2")
        name = fresh()
        server.start_async(body("yield 1\nreach($name)\ntime.sleep(20)", name=name), webhook=f"{hook.url}/a")
        server.wait_file(name)
        begin_the_end(server)
        ended(server, [])
        told = hook.got[-1].json()
    assert (told["status"], told["output"]) == ("canceled", [1])


@pytest.mark.parametrize("how", ["POST /shutdown"])
def test_a_generator_that_a_client_waits_for_gives_its_whole_output(serve: Any, how: str) -> None:
    server: Server = serve(model("generator"))
    gate = fresh()
    client = Asking(server, body("yield 'a'\ngate($gate)\nyield 'b'", gate=gate))
    server.wait_file(gate)
    begin_the_end(server, how)
    let_go(server, gate)
    answer = client.answer()
    assert (answer.status, answer.json()["output"]) == (200, ["a", "b"])
    assert answer.headers["connection"] == "close"
    ended(server, [])


class Held:
    """A receiver that holds every GET or PUT until its gate is opened."""

    def __init__(self, method: str) -> None:
        self.gate = Gate()
        self._method = method

    def __call__(self, incoming: Incoming) -> Reply:
        if incoming.method == self._method:
            self.gate.wait()
        return Reply(200, b"hello")


def wait_for_method(receiver: Receiver, method: str) -> None:
    receiver.wait_until(lambda got: any(incoming.method == method for incoming in got))


@pytest.mark.parametrize("waits", ["GET", "PUT"])
def test_downloads_and_uploads_are_finished(serve: Any, waits: str) -> None:
    held = Held(waits)
    with receiving(held) as other:
        server: Server = serve(FILES, "--upload-url", f"{other.url}/up/")
        client = Asking(server, {"file": f"{other.url}/in.txt"})
        wait_for_method(other, waits)
        begin_the_end(server)
        assert server.predict({"file": f"{other.url}/in.txt"}).status == 503
        held.gate.open()
        answer = client.answer().json()
        ended(server, [])
        (put,) = [incoming for incoming in other.got if incoming.method == "PUT"]
    assert (answer["status"], put.body) == ("succeeded", b"hello")
    assert answer["output"].startswith(f"{other.url}/up/")


@pytest.mark.parametrize("waits", ["GET", "PUT"])
def test_downloads_and_uploads_are_canceled_after_the_drain_timeout(serve: Any, waits: str) -> None:
    held = Held(waits)
    with receiving(held) as other:
        server: Server = serve(FILES, "--upload-url", f"{other.url}/up/", "--drain-timeout", "0.2")
        client = Asking(server, {"file": f"{other.url}/in.txt"})
        wait_for_method(other, waits)
        before = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        answer = client.answer()
        ended(server, [])
        assert time.monotonic() - before < 3
        held.gate.open()
    assert (answer.status, answer.json()["status"]) == (200, "canceled")


def test_what_waits_for_a_slot_still_gets_it(serve: Any) -> None:
    server: Server = serve(model("async"), env={"COG_MAX_CONCURRENCY": "2"})
    name, gate = fresh(), fresh()
    cleaning = "try:\n    reach($name)\n    await asyncio.sleep(20)\nfinally:\n    await async_gate($gate)"
    canceled = server.start_async(body(cleaning, name=name, gate=gate))
    server.wait_file(name)
    assert server.call("POST", f"/predictions/{canceled}/cancel").status == 200
    server.wait_file(gate)
    waiting = Asking(server, body("return 'mine'"), id="waiting")
    until(lambda: server.get("/predictions/waiting").status, lambda status: status == 200)
    begin_the_end(server)
    assert server.get("/predictions/waiting").json()["status"] == "starting"
    let_go(server, gate)
    assert waiting.answer().json()["output"] == "mine"
    ended(server, [])


@pytest.mark.slow
def test_a_pending_webhook_is_tried_until_it_is_accepted(serve: Any) -> None:
    answers: Iterator[int] = iter([503, 503, 200])
    with receiving(lambda _: Reply(next(answers))) as hook:
        server: Server = serve(model("sync"))
        server.start_async(body("return 1"), webhook=f"{hook.url}/a", webhook_events_filter=["completed"])
        server.process.send_signal(signal.SIGTERM)
        ended(server, [])
        assert len(hook.got) == 3


@pytest.mark.slow
def test_a_receiver_that_never_answers_holds_up_the_end_for_5_seconds_at_most(serve: Any) -> None:
    gate = Gate()

    def answer(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    with receiving(answer) as hook:
        server: Server = serve(model("sync"))
        server.start_async(body("return 1"), webhook=f"{hook.url}/a", id="lost")
        hook.wait_for(1)
        before = time.monotonic()
        begin_the_end(server)
        assert server.get("/predictions/lost").json()["status"] == "succeeded"
        ended(server, [])
        gate.open()
    assert 4 < time.monotonic() - before < 8
    assert "lost" in server.log


@pytest.mark.slow
def test_during_the_pause_before_a_respawn_and_when_defunct(serve: Any) -> None:
    server: Server = serve(DYING)
    assert "exit code 4" in server.predict().json()["error"]
    server.wait_health("DEFUNCT", "STARTING")
    until(lambda: server.log.count("a worker ended and is replaced"), lambda times: times >= 3)
    before = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    ended(server, [])
    assert time.monotonic() - before < 4


# A second signal


def second_signal(server: Server, first: int = signal.SIGTERM, second: int = signal.SIGTERM) -> None:
    """Both signals, the second when the first has been heard; the end comes at once."""
    pids = server.workers()
    server.process.send_signal(first)
    server.wait_log(f"{signal.Signals(first).name}: the server")
    before = time.monotonic()
    server.process.send_signal(second)
    ended(server, pids, 128 + second, within=5)
    assert time.monotonic() - before < 1.5


def test_a_second_signal_while_setup_runs(serve: Any) -> None:
    server: Server = serve(SETUP.format("pass"), ready=None)
    server.wait_file("begun")
    second_signal(server, signal.SIGINT, signal.SIGTERM)


def test_a_second_signal_while_a_file_is_downloaded(serve: Any) -> None:
    held = Held("GET")
    with receiving(held) as other:
        server: Server = serve(FILES)
        server.start_async({"file": f"{other.url}/in.txt"})
        wait_for_method(other, "GET")
        second_signal(server, signal.SIGTERM, signal.SIGINT)
        held.gate.open()


def test_a_second_signal_while_a_webhook_is_pending(serve: Any) -> None:
    gate = Gate()

    def answer(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    with receiving(answer) as hook:
        server: Server = serve(model("sync"))
        server.start_async(body("return 1"), webhook=f"{hook.url}/a")
        hook.wait_for(1)
        second_signal(server)
        gate.open()


def test_a_second_signal_while_workers_are_waited_for(serve: Any) -> None:
    server: Server = serve(model("sync"))
    os.kill(server.workers()[0], signal.SIGSTOP)
    pids = server.workers()
    server.process.send_signal(signal.SIGTERM)
    until(lambda: refused(server), bool)
    server.process.send_signal(signal.SIGTERM)
    ended(server, pids, 143, within=2)


def refused(server: Server) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port_of(server))) != 0


# Connections


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one answer."""
    head, data = b"", b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data, b""
        data += more
    head, _, data = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(data) < length:
        data += connection.recv(65536)
    return head.lower(), data


def test_each_answer_of_the_end_closes_its_connection_and_idle_ones_are_kept_for_it(serve: Any) -> None:
    server: Server = serve(model("sync"))
    gate = fresh()
    client = Asking(server, body("gate($gate)\nreturn 1", gate=gate))
    server.wait_file(gate)
    requests = {
        b"GET /health-check": b"200",
        b"GET /predictions/nothing": b"404",
        b"POST /predictions": b"503",
        b"GET /ready": b"503",
    }
    kept = [connected(server) for _ in requests]
    try:
        for connection in kept:
            connection.sendall(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"connection: close" not in read_answer(connection)[0]
        begin_the_end(server)
        for connection, (line, status) in zip(kept, requests.items(), strict=True):
            connection.sendall(line + b" HTTP/1.1\r\nhost: x\r\n\r\n")
            head, data = read_answer(connection)
            assert head.startswith(b"http/1.1 " + status)
            assert head.count(b"connection: close") == 1, head
            assert data.endswith(b"}")
            assert connection.recv(10) == b""
    finally:
        for connection in kept:
            connection.close()
    let_go(server, gate)
    assert client.answer().headers["connection"] == "close"
    ended(server, [])


@pytest.mark.slow
def test_a_client_that_reads_slowly_gets_its_whole_answer(serve: Any) -> None:
    server: Server = serve(BIG)
    size = 20_000_000
    raw = b'{"input":{"size":%d}}' % size
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", port_of(server)))
        connection.sendall(
            b"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(raw), raw)
        )
        begun = connection.recv(1000)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refused(server), bool)
        whole = len(begun)
        pace = threading.Event()
        while data := connection.recv(1_000_000):
            whole += len(data)
            pace.wait(0.004)  # this is what a slow client is
    assert whole > size
    ended(server, [])


@pytest.mark.filterwarnings("ignore")
def test_a_request_that_never_becomes_complete_does_not_hold_up_the_end(serve: Any) -> None:
    server: Server = serve(model("sync"))
    with connected(server) as connection:
        connection.sendall(b"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        before = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        ended(server, [])
        assert time.monotonic() - before < 3
    assert "ERROR" not in server.log


# Last, for these take their time while the others run


@pytest.mark.parametrize(
    "state",
    [
        "a setup that holds the GIL",
        "a setup that ignores signals",
        "a frozen worker",
        "a frozen worker of several",
    ],
)
def test_workers_that_hear_nothing_are_killed_within_their_3_seconds(
    stuck: dict[str, tuple[Server, list[int], float]], state: str
) -> None:
    server, pids, told_at = stuck[state]
    ended(server, pids, within=max(0.1, told_at + 6 - time.monotonic()))
    assert pids
