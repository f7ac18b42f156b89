"""The model's own healthcheck(): of several workers, of any kind, slow, hanging, and with whatever it does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.meanwhile import Meanwhile
from support.serving import Server, until
from support.steps import body, fresh, model

# `said` holds the code of the check; `said-PID` that of one worker.
CHECK = """
    {0} healthcheck(self):
        name = f"said-{{os.getpid()}}" if (FOLDER / f"said-{{os.getpid()}}").exists() else "said"
        code = (FOLDER / name).read_text() if (FOLDER / name).exists() else "return True"
        with open(FOLDER / "asked", "a") as file:
            file.write("x")
        return {1} made("{0}", code)()
"""
SLOW = "end = time.monotonic() + 20\nwhile not (FOLDER / 'enough').exists() and time.monotonic() < end: time.sleep(0.01)\nreturn True"


def checked(kind: str, check: str = "") -> str:
    """A model of this kind whose check is async as the model is, or as `check` says."""
    asynchronous = (check or kind) == "async"
    return model(kind) + CHECK.format("async def" if asynchronous else "def", "await" if asynchronous else "")


def say(server: Server, code: str, pid: int | None = None) -> None:
    """What the check does from now on."""
    (server.folder / "new").write_text(code)
    (server.folder / "new").rename(server.folder / ("said" if pid is None else f"said-{pid}"))


Asked = tuple[dict[str, Any], float]


def asking_for_health(server: Server) -> Meanwhile[Asked]:
    """Somebody who asks for the health, which may take its time."""

    def ask() -> Asked:
        before = time.monotonic()
        return server.health(), time.monotonic() - before

    return Meanwhile(ask)


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


@pytest.fixture(scope="module")
def pair(serve_once: Any) -> Server:
    started: Server = serve_once(checked("sync"), "--threads", "2", ready="2 of 2 workers")
    return started


@pytest.fixture(scope="module", params=[("sync", "sync"), ("async", "async"), ("async", "sync")], ids=str)
def any_kind(request: Any, serve_once: Any) -> Server:
    started: Server = serve_once(checked(*request.param))
    return started


def test_one_healthy_worker_is_enough(pair: Server) -> None:
    one, two = pair.workers()
    say(pair, "return False", one)
    for _ in range(3):
        assert pair.health()["status"] == "READY"
        threading.Event().wait(0.51)  # the verdict of the last run is over then
    say(pair, "raise RuntimeError('no gpu')", two)
    shown = pair.wait_health("UNHEALTHY")["user_healthcheck_error"]
    assert shown.startswith("Healthcheck failed: worker 0: ")
    for text in ("; worker 1: ", "user-defined healthcheck returned False", "RuntimeError: no gpu"):
        assert text in shown
    assert pair.predict(body("return 1")).json()["output"] == 1
    for pid in (one, two):
        say(pair, "return True", pid)
    pair.wait_health("READY")


def test_one_that_hangs_does_not_delay_the_word_of_a_healthy_one(pair: Server) -> None:
    one, _ = pair.workers()
    say(pair, SLOW, one)
    threading.Event().wait(0.51)
    before = time.monotonic()
    assert pair.health()["status"] == "READY"
    assert time.monotonic() - before < 2
    (pair.folder / "enough").touch()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; sys.exit('sick')", "SystemExit: sick"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise RuntimeError('no gpu')", "RuntimeError: no gpu"),
        ("return False", "user-defined healthcheck returned False"),
        ("return None", None),
        ("return 'x'", None),
        ("return 0", None),
    ],
)
def test_whatever_it_does(any_kind: Server, code: str, error: str | None) -> None:
    (pid,) = any_kind.workers()
    say(any_kind, code)
    wanted = None if error is None else f"Healthcheck failed: {error}"
    shown = until(any_kind.health, lambda health: health.get("user_healthcheck_error") == wanted, 5)
    assert shown["status"] == ("READY" if error is None else "UNHEALTHY")
    assert any_kind.predict(body("return 5")).json()["output"] == 5
    assert any_kind.workers() == [pid]


def test_what_it_prints_is_in_the_servers_log_and_in_no_prediction(any_kind: Server) -> None:
    gate, text = fresh(), fresh()
    asynchronous = "async def run" in (any_kind.folder / "run.py").read_text()
    code = ("await async_gate($gate)" if asynchronous else "gate($gate)") + "\nprint('mine')"
    running = any_kind.start_async(body(code, gate=gate))
    any_kind.wait_file(gate)
    say(any_kind, f"print('checking {text}')\nreturn True")
    until(lambda: any_kind.health() and any(f"checking {text}" in line for line in any_kind.messages()), bool)
    (any_kind.folder / f"{gate}.go").touch()
    assert any_kind.wait_for(running)["logs"] == "mine\n"


@pytest.fixture(scope="module", params=["sync", "async"])
def hanging(request: Any, serve_once: Any) -> Iterator[tuple[Server, Meanwhile[Asked]]]:
    """A server whose check does not come to an end, and somebody who asks."""
    server: Server = serve_once(checked(request.param, "sync"))
    say(server, SLOW)
    with asking_for_health(server) as asking:
        yield server, asking
        (server.folder / "enough").touch()


def test_a_check_that_hangs_delays_nothing(hanging: tuple[Server, Meanwhile[Asked]]) -> None:
    server, asking = hanging
    server.wait_file("asked")
    gate = fresh()
    started = time.monotonic()
    asynchronous = "async def run" in (server.folder / "run.py").read_text()
    waits = "await asyncio.sleep(60)" if asynchronous else "time.sleep(60)"
    running = server.start_async(body(f"reach($gate)\n{waits}", gate=gate))
    server.wait_file(gate)
    assert server.call("POST", f"/predictions/{running}/cancel").status == 200
    assert server.wait_for(running)["status"] == "canceled"
    assert server.predict(body("return 1")).json()["output"] == 1
    assert time.monotonic() - started < 3
    assert asking.is_alive()


@pytest.mark.slow
def test_a_check_that_hangs_is_run_once_and_then_answered_at_once(
    hanging: tuple[Server, Meanwhile[Asked]],
) -> None:
    server, asking = hanging
    (pid,) = server.workers()
    health, seconds = asking.result()
    assert 4 < seconds < 8
    assert health["user_healthcheck_error"].endswith("healthcheck timed out after 5.0 seconds")
    at_work = threads(pid)
    for _ in range(3):
        threading.Event().wait(0.51)
        health, seconds = asking_for_health(server).result()
        assert (health["status"], seconds < 1) == ("UNHEALTHY", True)
    assert (server.folder / "asked").read_text() == "x"
    assert threads(pid) <= at_work
    (server.folder / "enough").touch()
    server.wait_health("READY")


def test_a_check_under_way_does_not_hold_up_the_end(serve: Any) -> None:
    server: Server = serve(checked("sync"))
    say(server, SLOW)
    with asking_for_health(server) as asking:
        server.wait_file("asked")
        before = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - before < 3
        assert asking.result(5)[0]["status"] in ("READY", "STARTING")


def test_a_death_during_the_check_is_no_word_of_the_model(serve: Any) -> None:
    server: Server = serve(checked("sync"))
    say(server, SLOW)
    with asking_for_health(server) as asking:
        server.wait_file("asked")
        os.kill(server.workers()[0], signal.SIGKILL)
        health, seconds = asking.result()
        assert seconds < 4
        assert health["status"] != "UNHEALTHY"
        assert "user_healthcheck_error" not in health
