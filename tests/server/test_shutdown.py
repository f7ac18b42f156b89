"""How the server ends: in order, at once, or by force; and nothing of it is left."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from support.ending import TOLD, Asking, ended
from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model

CHILD = """
    child = subprocess.Popen(["sleep", "60"])
    (FOLDER / $name).with_suffix(".part").write_text(str(child.pid))
    (FOLDER / $name).with_suffix(".part").rename(FOLDER / $name)
"""


def with_child(name: str, then: str = "") -> dict[str, Any]:
    """Input that starts a child, writes its process id into the file `name`, and goes on with `then`."""
    return {"code": body(CHILD, name=name)["code"] + then}


WAITING = """
    import time
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            Path("begun").touch()
            time.sleep(60)

        def run(self) -> int:
            return 1
"""


@pytest.fixture(scope="module", autouse=True)
def stuck(serve_once: Any) -> list[tuple[Server, list[int], float]]:
    """Servers that were told to end, although one's worker is frozen and the other's is still in its setup."""
    frozen: Server = serve_once(model("sync"))
    loading: Server = serve_once(WAITING, ready=None)
    loading.wait_file("begun")
    os.kill(frozen.workers()[0], signal.SIGSTOP)
    told = [(server, server.workers(), time.monotonic()) for server in (frozen, loading)]
    for server, _, _ in told:
        server.process.send_signal(signal.SIGTERM)
    return told


def test_an_idle_server_ends_with_0(serve: Any) -> None:
    server: Server = serve(model("sync"), "--threads", "2", ready="2 of 2 workers")
    pids = server.workers()
    assert len(pids) == 2
    before = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    ended(server, pids)
    assert time.monotonic() - before < 2


@pytest.mark.parametrize("how", ["SIGTERM", "POST /shutdown"])
def test_what_runs_finishes_first(serve: Any, how: str) -> None:
    server: Server = serve(model("sync"), "--threads", "2", ready="2 of 2 workers")
    pids = server.workers()
    first, second = fresh(), fresh()
    client = Asking(server, body("gate($gate)\nreturn 'waited for'", gate=first))
    running = server.start_async(body("print('hi')\ngate($gate)\nreturn 'too'", gate=second))
    for gate in (first, second):
        server.wait_file(gate)
    TOLD[how](server)
    until(lambda: server.get("/ready").status, lambda status: status == 503)
    for gate in (first, second):
        assert alive(pids[0])
        (server.folder / f"{gate}.go").touch()
    answer = client.answer()
    assert (answer.status, answer.json()["output"]) == (200, "waited for")
    ended(server, pids)
    assert {"hi", "the server has ended"} <= set(server.messages())
    assert running


def test_meanwhile_creates_get_503_and_everything_else_still_answers(serve: Any) -> None:
    server: Server = serve(model("sync"), "--threads", "2", ready="2 of 2 workers")
    pids = server.workers()
    gate, name = fresh(), fresh()
    server.start_async(body("gate($gate)\nreturn 1", gate=gate), id=name)
    client = Asking(server, body("reach($name)\ntime.sleep(20)", name=name + "b"), id=name + "b")
    server.wait_file(gate)
    server.wait_file(name + "b")
    assert server.call("POST", "/shutdown").json() == {}
    answer = server.predict()
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert answer.json() == {
        "error": "the server is shutting down and takes no new predictions",
        "status": "failed",
    }
    assert answer.headers["retry-after"] == "1"
    assert server.call("PUT", f"/predictions/{name}", {}).json()["status"] == "processing"
    assert server.call("PUT", f"/predictions/{name}", {}).status == 202
    assert server.get(f"/predictions/{name}").json()["status"] == "processing"
    assert len(server.get("/predictions").json()["results"]) == 2
    assert (server.health()["status"], server.get("/live").status) == ("BUSY", 200)
    assert server.call("POST", f"/predictions/{name}b/cancel").status == 200
    assert client.answer().json()["status"] == "canceled"
    let_go(server, gate)
    ended(server, pids)


def test_after_the_drain_timeout_what_runs_is_canceled(serve: Any) -> None:
    server: Server = serve(model("sync"), "--drain-timeout", "0.5")
    pids = server.workers()
    name = fresh()
    code = """
        try:
            print("begins")
            reach($name)
            time.sleep(20)
        finally:
            print("cleans up")
    """
    client = Asking(server, body(code, name=name))
    server.wait_file(name)
    before = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    answer = client.answer()
    assert 0.4 < time.monotonic() - before < 3
    assert (answer.status, answer.json()["status"]) == (200, "canceled")
    assert answer.json()["logs"] == "begins\ncleans up\n"
    ended(server, pids)


def test_a_deaf_model_ends_with_the_server(serve: Any) -> None:
    server: Server = serve(model("sync"), "--drain-timeout", "0", "--cancel-grace", "0.3")
    pids = server.workers()
    name = fresh()
    deaf = "while True:\n    try:\n        time.sleep(20)\n    except BaseException:\n        pass"
    client = Asking(server, with_child(name, deaf))
    child = int(server.wait_file(name).read_text())
    before = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert client.answer().json()["status"] == "canceled"
    ended(server, [*pids, child])
    assert time.monotonic() - before < 5


def test_children_of_the_model_end_too(serve: Any) -> None:
    server: Server = serve(model("sync"))
    name = fresh()
    assert server.predict(with_child(name)).json()["status"] == "succeeded"
    child = int((server.folder / name).read_text())
    assert alive(child)
    pids = server.workers()
    server.process.send_signal(signal.SIGTERM)
    ended(server, [*pids, child])


def test_a_client_that_only_keeps_its_connection_does_not_hold_up_the_end(serve: Any) -> None:
    server: Server = serve(model("sync"))
    with socket.create_connection(
        ("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10
    ) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        before = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        ended(server, [])
        assert time.monotonic() - before < 2


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGINT, signal.SIGINT, 130),
    ],
)
def test_a_second_signal_ends_at_once(serve: Any, first: int, second: int, code: int) -> None:
    server: Server = serve(model("sync"))
    pids = server.workers()
    name = fresh()
    running = server.start_async(with_child(name, "time.sleep(60)"))
    child = int(server.wait_file(name).read_text())
    server.process.send_signal(first)
    server.wait_log(f"{signal.Signals(first).name}: the server finishes what is running")
    assert server.get(f"/predictions/{running}").json()["status"] == "processing"
    server.process.send_signal(second)
    ended(server, [*pids, child], code, within=2)


def test_a_shutdown_and_a_signal_are_no_second_signal(serve: Any) -> None:
    server: Server = serve(model("sync"))
    gate = fresh()
    client = Asking(server, body("gate($gate)\nreturn 1", gate=gate))
    server.wait_file(gate)
    assert server.call("POST", "/shutdown").status == 200
    assert server.call("POST", "/shutdown").status == 200
    server.process.send_signal(signal.SIGTERM)
    server.wait_log("SIGTERM: the server finishes")
    let_go(server, gate)
    assert client.answer().json()["output"] == 1
    ended(server, [])


# --await-explicit-shutdown


@pytest.mark.parametrize(
    ("flags", "how"),
    [
        (("--await-explicit-shutdown",), "SIGINT"),
        (("--await-explicit-shutdown", "true"), "POST /shutdown"),
    ],
)
def test_an_explicit_shutdown_is_awaited(serve: Any, flags: tuple[str, ...], how: str) -> None:
    server: Server = serve(model("sync"), *flags)
    pids = server.workers()
    for _ in range(2):
        server.process.send_signal(signal.SIGTERM)
    server.wait_log("SIGTERM is ignored")
    assert server.predict(body("return 1")).json()["output"] == 1
    TOLD[how](server)
    ended(server, pids)


def test_false_means_false(serve: Any) -> None:
    server: Server = serve(model("sync"), "--await-explicit-shutdown", "false")
    server.process.send_signal(signal.SIGTERM)
    ended(server, [])


# The server is killed


@pytest.mark.parametrize(
    "code",
    [
        "",
        "reach($name)\nwhile True: pass",
        "reach($name)\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
    ],
    ids=["idle", "computing", "deaf"],
)
def test_workers_of_a_killed_server_are_gone_within_a_second(serve: Any, code: str) -> None:
    server: Server = serve(model("sync"))
    pids = server.workers()
    if code:
        name = fresh()
        server.start_async(body(code, name=name))
        server.wait_file(name)
    server.process.kill()
    server.process.wait(10)
    until(lambda: [pid for pid in pids if alive(pid)], lambda left: not left, 1.0)


def test_an_async_worker_of_a_killed_server_is_gone_too(serve: Any) -> None:
    server: Server = serve(model("async"))
    pids = server.workers()
    name = fresh()
    server.start_async(body("reach($name)\nwhile True: pass", name=name))
    server.wait_file(name)
    server.process.kill()
    server.process.wait(10)
    until(lambda: [pid for pid in pids if alive(pid)], lambda left: not left, 1.0)


def test_nothing_of_the_temporary_folder_is_left(serve: Any, tmp_path: Path) -> None:
    for number, second in enumerate((None, signal.SIGTERM)):
        folder = tmp_path / f"temporary{number}"
        folder.mkdir()
        server: Server = serve(model("sync"), env={"TMPDIR": str(folder)})
        assert list(folder.iterdir())
        gate = fresh()
        server.start_async(body("gate($gate)", gate=gate))
        server.wait_file(gate)
        server.process.send_signal(signal.SIGTERM)
        server.wait_log("SIGTERM: the server")
        if second is None:
            let_go(server, gate)
        else:
            server.process.send_signal(second)
        server.process.wait(10)
        assert list(folder.iterdir()) == []


def test_workers_that_do_not_end_by_themselves_are_killed(
    stuck: list[tuple[Server, list[int], float]],
) -> None:
    for server, pids, told_at in stuck:
        ended(server, pids, within=max(0.1, told_at + 5 - time.monotonic()))
        assert len(pids) == 1
