"""A worker that does not answer: stopped, or in C code that holds the interpreter lock. It delays nobody."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NamedTuple

import pytest

from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model

CHECKED = """
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def healthcheck(self) -> bool:
            with open("asked", "a") as file:
                file.write("x")
            return True

        def run(self) -> int:
            return 1
"""
HOLDS = "reach($name)\nimport ctypes; ctypes.PyDLL(None).sleep($seconds)\nreturn 'woke up'"


class House(NamedTuple):
    """Servers whose workers were frozen, all at the same moment, and the predictions that were on them."""

    idle: Server
    two: Server
    on_first: str
    shared: Server
    on_shared: tuple[str, str]
    locked: Server
    on_locked: str
    waking: Server
    on_waking: str
    checked: Server
    canceled: Server
    canceled_at: float


def stop(server: Server) -> None:
    os.kill(server.workers()[0], signal.SIGSTOP)


@pytest.fixture(scope="module")
def house(serve_once: Any) -> House:
    idle, canceled, locked, waking = (serve_once(model("sync"), "--cancel-grace", "60") for _ in range(4))
    two = serve_once(model("sync"), "--threads", "2", ready="2 of 2 workers")
    shared = serve_once(model("async"), env={"COG_MAX_CONCURRENCY": "3"})
    checked = serve_once(CHECKED)
    gates = [fresh() for _ in range(4)]
    first = two.start_async(body("reach($gate)\nos.kill(os.getpid(), signal.SIGSTOP)", gate=gates[0]))
    pair = [shared.start_async(body("print('hi')\nawait async_gate($g)", g=gate)) for gate in gates[1:3]]
    doomed = canceled.start_async(body("gate($gate)", gate=gates[3]))
    for server, gate in zip((two, shared, shared, canceled), gates, strict=True):
        server.wait_file(gate)
    asked = checked.health()["status"]
    assert asked == "READY"
    names = fresh(), fresh()
    on_locked = locked.start_async(body(HOLDS, name=names[0], seconds=60))
    on_waking = waking.start_async(body(HOLDS, name=names[1], seconds=11))
    for server, name in zip((locked, waking), names, strict=True):
        server.wait_file(name)
    for server in (idle, shared, checked, canceled):
        stop(server)
    canceled_at = time.monotonic()
    assert canceled.call("POST", f"/predictions/{doomed}/cancel").status == 200
    for server in (idle, two, shared, locked, waking, checked, canceled):
        server.wait_log("is frozen: it has not answered for 5 seconds")
    assert canceled.wait_for(doomed)["status"] == "canceled"
    return House(
        idle, two, first, shared, (pair[0], pair[1]), locked, on_locked, waking, on_waking, checked, canceled, time.monotonic() - canceled_at
    )  # fmt: skip


def quick(server: Server, method: str, path: str, json_body: Any = None) -> Any:
    """The answer, which must come at once."""
    before = time.monotonic()
    answer = server.call(method, path, json_body)
    assert time.monotonic() - before < 1
    return answer


def refused(server: Server) -> None:
    """What a server says none of whose workers answers."""
    health = quick(server, "GET", "/health-check")
    assert (health.status, health.json()["status"]) == (200, "UNHEALTHY")
    assert "user_healthcheck_error" not in health.json()
    assert quick(server, "GET", "/ready").status == 503
    assert quick(server, "GET", "/live").status == 200
    answer = quick(server, "POST", "/predictions", {"input": {}})
    assert (answer.status, answer.headers["retry-after"]) == (409, "1")
    assert "has not answered for 5 seconds" in answer.json()["error"]
    assert "GIL" in answer.json()["error"]


@pytest.mark.slow
def test_a_cancel_before_it_was_noticed_ends_it_when_it_is(house: House) -> None:
    assert house.canceled_at < 9
    house.canceled.wait_health("READY")
    assert house.canceled.predict(body("return 1")).json()["output"] == 1


def test_c_code_that_holds_the_lock_is_frozen_too_and_ends_with_its_cancel(house: House) -> None:
    (pid,) = house.locked.workers()
    refused(house.locked)
    before = time.monotonic()
    quick(house.locked, "POST", f"/predictions/{house.on_locked}/cancel")
    ended = house.locked.wait_for(house.on_locked)
    assert (ended["status"], ended["error"]) == ("canceled", None)
    assert time.monotonic() - before < 2
    house.locked.wait_health("READY")
    assert house.locked.predict(body("return 2")).json()["output"] == 2
    assert not alive(pid)


def test_an_idle_one_takes_nothing_and_heals(house: House) -> None:
    (pid,) = house.idle.workers()
    refused(house.idle)
    os.kill(pid, signal.SIGCONT)
    house.idle.wait_health("READY", timeout=3)
    house.idle.wait_log("worker 0 answers again")
    assert house.idle.predict(body("return os.getpid()")).json()["output"] == pid


def test_of_two_workers_the_other_serves_on(house: House) -> None:
    server = house.two
    assert server.health()["status"] == "READY"
    gate = fresh()
    other = server.start_async(body("gate($gate)\nreturn 'other'", gate=gate))
    server.wait_file(gate)
    assert quick(server, "GET", "/health-check").json()["status"] == "BUSY"
    answer = quick(server, "POST", "/predictions", {"input": {}})
    assert answer.status == 409
    assert "every prediction slot is busy" in answer.json()["error"]
    let_go(server, gate)
    assert server.wait_for(other)["output"] == "other"
    assert server.get(f"/predictions/{house.on_first}").json()["status"] == "processing"
    server.call("POST", f"/predictions/{house.on_first}/cancel")
    assert server.wait_for(house.on_first, timeout=2)["status"] == "canceled"
    gates = fresh(), fresh()

    def both() -> list[int]:
        return [server.predict(fields={"id": g}, headers={"prefer": "respond-async"}, input=body("gate($g)", g=g)).status for g in gates]  # fmt: skip

    until(both, lambda statuses: statuses == [202, 202], 10)
    for gate in gates:
        let_go(server, gate)
        server.wait_for(gate)


def test_an_idle_one_of_two_is_no_capacity(house: House) -> None:
    """After the test above, with the other one of the two at work."""
    server = house.two
    until(server.workers, lambda pids: len(pids) == 2)
    gate = fresh()
    running = server.start_async(
        body("(FOLDER / $gate).write_text(str(os.getpid())); gate($gate)", gate=gate)
    )
    busy = int(server.wait_file(gate).read_text())
    (idle,) = set(server.workers()) - {busy}
    os.kill(idle, signal.SIGSTOP)
    before = len(server.lines)
    until(lambda: any("is frozen" in line["fields"]["message"] for line in server.lines[before:]), bool, 10)
    answer = server.predict()
    assert answer.status == 409
    let_go(server, gate)
    server.wait_for(running)
    for _ in range(5):
        assert server.predict(body("return os.getpid()")).json()["output"] == busy
    os.kill(idle, signal.SIGCONT)


def test_a_cancel_ends_an_async_one_with_all_it_runs(house: House) -> None:
    server = house.shared
    refused(server)
    canceled, other = house.on_shared
    server.call("POST", f"/predictions/{canceled}/cancel")
    assert server.wait_for(canceled, timeout=2)["status"] == "canceled"
    ended = server.wait_for(other, timeout=2)
    assert (ended["status"], ended["logs"]) == ("failed", "hi\n")
    assert ended["error"].startswith("WorkerDied: it did not answer any more")
    server.wait_health("READY")
    assert server.predict(body("return 3")).json()["output"] == 3


def test_its_own_check_is_not_asked(house: House) -> None:
    asked = house.checked.folder / "asked"
    before = asked.read_text()
    refused(house.checked)
    assert asked.read_text() == before
    os.kill(house.checked.workers()[0], signal.SIGCONT)
    house.checked.wait_health("READY", timeout=3)
    until(lambda: house.checked.health() and asked.read_text(), lambda text: text != before)


def test_one_that_wakes_up_ends_its_prediction_as_if_nothing_had_been(house: House) -> None:
    ended = house.waking.wait_for(house.on_waking)
    assert (ended["status"], ended["output"]) == ("succeeded", "woke up")
    house.waking.wait_health("READY", timeout=3)
    assert house.waking.predict(body("return 4")).json()["output"] == 4
