"""What the server says of itself: /health-check in every state, /ready and /live."""

from __future__ import annotations

import os
import platform
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.meanwhile import Meanwhile
from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

WAITING = """
    import time
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            print("loading")
            deadline = time.monotonic() + 20
            while not Path("go").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            print("loaded")

        def run(self) -> int:
            return 1
"""

CHECKED = """
    import os, time
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self, name: str = "") -> int:
            deadline = time.monotonic() + 20
            if name:
                Path(name).touch()
            while name and not Path(name + ".go").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            return 1

        def healthcheck(self):
            said = Path("said").read_text() if Path("said").exists() else "True"
            with open("asked", "a") as file:
                file.write("x")
            if said == "slow":
                time.sleep(20)
            if said == "raise":
                raise RuntimeError("no gpu")
            return {"True": True, "False": False, "None": None}[said]
"""

BROKEN = {
    "raises": (
        "print('trying'); raise RuntimeError('no gpu')",
        "RuntimeError: no gpu",
        ["trying", "Traceback", "RuntimeError: no gpu"],
    ),
    "exits": ("print('trying'); raise SystemExit(4)", "SystemExit: 4", ["trying", "SystemExit: 4"]),
    "dies": ("print('trying', flush=True); import os; os._exit(3)", "exit code 3", ["trying", "exit code 3"]),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL", ["killed by SIGKILL"]),
}  # fmt: skip


def setup(code: str) -> str:
    return f"""
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            {code}

        def run(self) -> int:
            return 1
    """


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"), "--cancel-grace", "0.5")
    return started


Asked = tuple[dict[str, Any], float]


@pytest.fixture(scope="module")
def slow(serve_once: Any) -> Iterator[Meanwhile[Asked]]:
    """Somebody who asks a server whose model does not answer its health check."""
    started: Server = serve_once(CHECKED)
    said(started, "slow")

    def ask() -> Asked:
        before = time.monotonic()
        return started.health(), time.monotonic() - before

    with Meanwhile(ask) as asking:
        yield asking


@pytest.fixture(scope="module")
def dying(serve_once: Any) -> Iterator[tuple[Server, Meanwhile[list[str]]]]:
    """A server whose model dies, again and again."""
    started: Server = serve_once(model("sync"))

    def die() -> list[str]:
        ends = []
        for _ in range(5):
            started.wait_health("READY")
            ends.append(started.predict(body("os._exit(1)")).json()["status"])
        return ends

    with Meanwhile(die) as deaths:
        yield started, deaths


@pytest.fixture(scope="module", autouse=True)
def long_ones(request: pytest.FixtureRequest) -> None:
    """What takes seconds goes on while the other tests run, if its own test is among them."""
    names = {item.name for item in request.session.items}
    for fixture, test in LONG.items():
        if test.__name__ in names:
            request.getfixturevalue(fixture)


def states(server: Server) -> tuple[str, int, int]:
    """The status, and those of /ready and /live."""
    return server.health()["status"], server.get("/ready").status, server.get("/live").status


@pytest.mark.local_only("the version that it shows is that of the Python of these tests")
def test_from_starting_to_ready(serve: Any) -> None:
    server: Server = serve(WAITING, ready=None)
    shown = until(server.health, lambda health: "logs" in health.get("setup", {}))
    assert list(shown) == ["status", "setup", "version"]
    assert shown["status"] == "STARTING"
    assert shown["setup"].keys() == {"started_at", "status", "logs"}
    assert (shown["setup"]["status"], shown["setup"]["logs"]) == ("starting", "loading\n")
    assert states(server) == ("STARTING", 503, 200)
    answer = server.predict()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "not ready yet" in answer.json()["error"]
    (server.folder / "go").touch()
    shown = server.wait_health("READY")
    assert shown["setup"].keys() == {"started_at", "completed_at", "status", "logs"}
    assert (shown["setup"]["status"], shown["setup"]["logs"]) == ("succeeded", "loading\nloaded\n")
    assert TIME.fullmatch(shown["setup"]["started_at"])
    assert TIME.fullmatch(shown["setup"]["completed_at"])
    assert shown["setup"]["started_at"] < shown["setup"]["completed_at"]
    assert server.get("/ready").json() == {"status": "READY", "slots": 1}
    assert shown["version"].keys() == {"cog", "coglet", "python_sdk", "python"}
    assert shown["version"]["python"] == platform.python_version()
    assert server.predict().json()["output"] == 1


def test_ready_and_busy(server: Server) -> None:
    gate = fresh()
    assert states(server) == ("READY", 200, 200)
    running = server.start_async(body("gate($gate)", gate=gate))
    assert states(server) == ("BUSY", 200, 200)
    let_go(server, gate)
    server.wait_for(running)
    assert states(server) == ("READY", 200, 200)


@pytest.mark.parametrize("how", BROKEN)
def test_a_setup_that_fails(serve: Any, how: str) -> None:
    code, cause, logs = BROKEN[how]
    server: Server = serve(setup(code), ready="the model is SETUP_FAILED")
    shown = server.health()
    assert (shown["status"], shown["setup"]["status"]) == ("SETUP_FAILED", "failed")
    assert TIME.fullmatch(shown["setup"]["completed_at"])
    places = [shown["setup"]["logs"].find(text) for text in logs]
    assert -1 not in places
    assert places == sorted(places)
    answer = server.predict()
    assert (answer.status, cause in answer.json()["error"]) == (503, True)
    assert "setup failed" in answer.json()["error"]
    assert states(server) == ("SETUP_FAILED", 503, 200)
    until(server.workers, lambda pids: not pids, 0.5)


def test_a_setup_that_takes_too_long(serve: Any) -> None:
    code = "print('slow'); import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    server: Server = serve(setup(code), ready="the model is SETUP_FAILED", env={"COG_SETUP_TIMEOUT": "1"})
    shown = server.health()
    assert shown["setup"]["logs"].startswith("slow\n")
    assert "COG_SETUP_TIMEOUT" in shown["setup"]["logs"]
    assert "longer than 1 second" in server.predict().json()["error"]
    until(server.workers, lambda pids: not pids, 0.5)


def said(server: Server, text: str) -> None:
    """What the model's check says from now on."""
    (server.folder / "new").write_text(text)
    (server.folder / "new").rename(server.folder / "said")


@pytest.fixture(scope="module")
def checked(serve_once: Any) -> Server:
    started: Server = serve_once(CHECKED)
    return started


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("False", "Healthcheck failed: user-defined healthcheck returned False"),
        ("raise", "Healthcheck failed: RuntimeError: no gpu"),
    ],
)
def test_the_models_own_check_says_no(checked: Server, text: str, error: str) -> None:
    said(checked, text)
    shown = checked.wait_health("UNHEALTHY")
    assert shown["user_healthcheck_error"] == error
    assert checked.predict().json()["output"] == 1
    said(checked, "True")
    shown = checked.wait_health("READY")
    assert "user_healthcheck_error" not in shown


def test_an_answer_that_is_no_bool_is_healthy(checked: Server) -> None:
    said(checked, "None")
    assert checked.wait_health("READY")["status"] == "READY"
    said(checked, "True")


def test_the_check_is_asked_while_the_model_runs_and_no_outranks_busy(checked: Server) -> None:
    name = fresh()
    running = checked.start_async({"name": name})
    checked.wait_file(name)
    assert checked.health()["status"] == "BUSY"
    said(checked, "False")
    assert checked.wait_health("UNHEALTHY")["status"] == "UNHEALTHY"
    said(checked, "True")
    checked.wait_health("BUSY")
    (checked.folder / f"{name}.go").touch()
    checked.wait_for(running)


def test_callers_share_one_run_of_the_check(checked: Server) -> None:
    before = (checked.folder / "asked").stat().st_size if (checked.folder / "asked").exists() else 0
    started = time.monotonic()
    for _ in range(30):
        checked.health()
    assert (checked.folder / "asked").stat().st_size - before <= 1 + 1 + (time.monotonic() - started) / 0.5


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    (pid,) = server.workers()
    shown = server.predict(body("print('last words'); os._exit(3)")).json()
    assert shown["status"] == "failed"
    assert shown["error"].startswith("WorkerDied: the worker process ended with exit code 3")
    assert shown["logs"] == "last words\n"
    server.wait_health("READY")
    assert server.predict(body("return 1")).json()["output"] == 1
    (second,) = server.workers()
    os.kill(second, signal.SIGKILL)
    until(server.workers, lambda pids: bool(pids) and pids != [second])
    server.wait_health("READY")
    assert server.predict(body("return 2")).json()["output"] == 2
    assert not alive(pid)


def test_a_normal_end_between_deaths_starts_the_count_anew(server: Server) -> None:
    for _ in range(6):
        assert server.predict(body("os._exit(1)")).json()["status"] == "failed"
        server.wait_health("READY")
        assert server.predict(body("raise ValueError")).json()["error"] == "ValueError"
    assert server.health()["status"] == "READY"


def test_a_frozen_worker(server: Server) -> None:
    gate = fresh()
    running = server.start_async(body("gate($gate)", gate=gate))
    server.wait_file(gate)
    (pid,) = server.workers()
    os.kill(pid, signal.SIGSTOP)
    before = time.monotonic()
    assert server.health()["status"] == "BUSY"
    assert time.monotonic() - before < 1
    assert server.predict().status == 409
    assert server.call("POST", f"/predictions/{running}/cancel").status == 200
    assert server.wait_for(running)["status"] == "canceled"
    server.wait_health("READY")
    assert server.predict(body("return 1")).json()["output"] == 1
    assert not alive(pid)


def test_a_check_without_an_answer_is_a_no_after_5_seconds(slow: Meanwhile[Asked]) -> None:
    shown, seconds = slow.result()
    assert shown["status"] == "UNHEALTHY"
    assert (
        shown["user_healthcheck_error"]
        == "Healthcheck failed: user-defined healthcheck timed out after 5.0 seconds"
    )
    assert 4.9 < seconds < 8


def test_5_deaths_without_a_normal_end_are_defunct(dying: tuple[Server, Meanwhile[list[str]]]) -> None:
    server, deaths = dying
    assert deaths.result() == ["failed"] * 5
    server.wait_health("DEFUNCT")
    assert states(server) == ("DEFUNCT", 503, 503)
    answer = server.predict()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "died again and again" in answer.json()["error"]
    assert "exit code 1" in answer.json()["error"]


LONG = {
    "slow": test_a_check_without_an_answer_is_a_no_after_5_seconds,
    "dying": test_5_deaths_without_a_normal_end_are_defunct,
}
