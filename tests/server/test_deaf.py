"""Models that do not react to a cancel: they are ended after --cancel-grace, and the next prediction works."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.canceling import cancel, canceled, works
from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model


@pytest.fixture(scope="module")
def impatient(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"), "--cancel-grace", "0.5")
    return started


def test_a_deaf_sync_run_is_killed_after_the_grace_and_replaced(impatient: Server) -> None:
    name = fresh()
    code = """
        reach($name)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        end = time.monotonic() + 20
        while time.monotonic() < end: pass
    """
    before = impatient.workers()
    running = impatient.start_async(body("print('so far')\n" + body(code, name=name)["code"]))
    impatient.wait_file(name)
    started = time.monotonic()
    assert cancel(impatient, running).status == 200
    ended = impatient.wait_for(running)
    assert 0.4 < time.monotonic() - started < 4
    assert (ended["status"], ended["error"], ended["logs"]) == ("canceled", None, "so far\n")
    impatient.wait_health("READY")
    works(impatient)
    assert set(before).isdisjoint(impatient.workers())


def test_a_deaf_run_is_killed_with_its_children(impatient: Server) -> None:
    code = """
        child = subprocess.Popen(["sleep", "60"])
        (FOLDER / $name).with_suffix(".part").write_text(str(child.pid))
        (FOLDER / $name).with_suffix(".part").rename(FOLDER / $name)
        while True:
            try:
                time.sleep(20)
            except BaseException:
                pass
    """
    name = fresh()
    running = impatient.start_async(body(code, name=name))
    child = int(impatient.wait_file(name).read_text())
    canceled(impatient, running)
    until(lambda: alive(child), lambda there: not there, 5)
    impatient.wait_health("READY")
    works(impatient)


def test_a_deaf_async_run_is_written_off_and_the_others_finish(serve: Any) -> None:
    server: Server = serve(model("async"), "--cancel-grace", "0.4", env={"COG_MAX_CONCURRENCY": "2"})
    deaf, gate = fresh(), fresh()
    code = """
        reach($name)
        while True:
            try:
                await asyncio.sleep(20)
            except BaseException:
                pass
    """
    running = server.start_async(body(code, name=deaf))
    other = server.start_async(body("await async_gate($gate)\nreturn os.getpid()", gate=gate))
    server.wait_file(deaf)
    server.wait_file(gate)
    pids = server.workers()
    canceled(server, running)
    assert server.get(f"/predictions/{other}").json()["status"] == "processing"
    let_go(server, gate)
    ended = server.wait_for(other)
    assert ended["status"] == "succeeded"
    assert ended["output"] in pids
    until(server.workers, lambda now: bool(now) and set(now).isdisjoint(pids), 10)
    server.wait_health("READY")
    works(server)
