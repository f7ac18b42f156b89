"""Workers that are replaced while they serve: after so many predictions, or when they take too much memory."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.mounts import can_mount, under
from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model

PID = body("return os.getpid()")
# Each setup leaves a file, named by its process. While there is a file `closed` it waits, unless it is the first one;
# while there is a file `broken` it fails.
SETUP = """
    def setup(self):
        import atexit
        first = not list(FOLDER.glob("setup.*"))
        (FOLDER / f"setup.{os.getpid()}").touch()
        atexit.register(lambda: (FOLDER / f"left.{os.getpid()}").touch())
        end = time.monotonic() + 20
        while not first and (FOLDER / "closed").exists() and time.monotonic() < end:
            time.sleep(0.005)
        if (FOLDER / "broken").exists():
            raise RuntimeError("no weights")
"""
SYNC = model("sync") + SETUP
ASYNC = model("async") + SETUP


def setups(server: Server) -> int:
    return len(list(server.folder.glob("setup.*")))


def replaced(server: Server, before: int) -> int:
    """The worker that answers now, when it is not this one any more."""
    return int(until(lambda: server.predict(PID).json()["output"], lambda pid: pid != before))


def served(server: Server, clients: int, each: int) -> list[int]:
    """So many clients send so many predictions, one after the other: the workers that have served them."""

    def client(number: int) -> list[int]:
        answers = [server.predict(PID) for _ in range(each)]
        assert {answer.status for answer in answers} == {200}, next(a for a in answers if a.status != 200)
        return [answer.json()["output"] for answer in answers]

    with ThreadPoolExecutor(clients) as pool:
        return [pid for pids in pool.map(client, range(clients)) for pid in pids]


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_no_request_is_refused_or_lost(serve: Any, workers: int) -> None:
    """There are as many clients as slots, so that any slot less is a 409."""
    flags = ("--threads", str(workers), "--max-predictions-per-worker", "25")
    server: Server = serve(SYNC, *flags, ready="READY" if workers == 1 else "2 of 2 workers")
    pids: list[int] = []
    while sum(not alive(pid) for pid in set(pids)) < 2 * workers:
        pids += served(server, clients=workers, each=50)
    assert all(pids.count(pid) >= 25 for pid in set(pids) if not alive(pid))
    server.wait_log("it has served 25 predictions (--max-predictions-per-worker)")
    until(server.workers, lambda left: len(left) == workers)


def test_an_async_model_too(serve: Any) -> None:
    server: Server = serve(ASYNC, "--max-predictions-per-worker", "40", env={"COG_MAX_CONCURRENCY": "4"})
    seen: set[int] = set()
    while len(seen) < 3:
        seen |= set(served(server, clients=4, each=50))
    until(server.workers, lambda left: len(left) == 1)


def test_it_serves_until_the_next_one_is_ready_and_ends_what_it_runs(serve: Any) -> None:
    server: Server = serve(ASYNC, env={"COG_MAX_CONCURRENCY": "2", "COG_MAX_PREDICTIONS_PER_WORKER": "2"})
    (server.folder / "closed").touch()
    (before,) = server.workers()
    gate = fresh()
    long = server.start_async(body("await async_gate($gate)\nreturn os.getpid()", gate=gate))
    server.wait_file(gate)
    setup = server.health()["setup"]
    assert [server.predict(PID).json()["output"] for _ in range(4)] == [before] * 4
    until(lambda: setups(server), lambda count: count == 2)
    server.wait_log("worker 0 is being replaced, and serves until the next one is ready")
    assert server.predict(PID).json()["output"] == before
    health = server.health()
    assert (health["status"], health["setup"]) == ("READY", setup)
    (server.folder / "closed").unlink()
    after = replaced(server, before)
    assert server.health()["setup"]["started_at"] > setup["started_at"]
    assert server.get(f"/predictions/{long}").json()["status"] == "processing"
    let_go(server, gate)
    assert server.wait_for(long)["output"] == before
    server.wait_file(f"left.{before}")  # it could end by itself
    until(lambda: alive(before), lambda there: not there)
    assert alive(after)


def test_when_the_next_one_cannot_be_set_up_it_goes_on_and_that_is_tried_again(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-predictions-per-worker", "3")
    (before,) = server.workers()
    (server.folder / "broken").touch()
    for _ in range(3):
        assert server.predict(PID).json()["output"] == before
    server.wait_log("worker 0 cannot be replaced, and serves on: the setup of the next one failed")
    server.wait_log("no weights")
    until(lambda: setups(server), lambda count: count == 3)  # the second try, after a second
    assert server.predict(PID).json()["output"] == before
    assert server.health()["status"] == "READY"
    (server.folder / "broken").unlink()
    until(server.workers, lambda pids: before not in pids)
    assert server.predict(PID).json()["output"] != before
    server.wait_log("worker 0 was replaced")


def test_when_it_dies_meanwhile_the_next_one_has_begun_already(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-predictions-per-worker", "1")
    (server.folder / "closed").touch()
    before = server.predict(PID).json()["output"]
    until(lambda: setups(server), lambda count: count == 2)
    os.kill(before, signal.SIGKILL)
    server.wait_health("STARTING")
    (server.folder / "closed").unlink()
    server.wait_health("READY")
    assert setups(server) == 2
    assert server.predict(PID).json()["output"] != before


def test_a_server_ends_while_a_worker_is_being_replaced(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-predictions-per-worker", "1")
    (server.folder / "closed").touch()
    server.predict(PID)
    until(lambda: setups(server), lambda count: count == 2)
    workers = server.workers()
    assert len(workers) == 2
    assert server.stop() == 0
    assert not any(map(alive, workers))


def test_each_prediction_of_a_batch_counts(serve: Any) -> None:
    text = """
        import os
        from cog import BaseRunner, batch

        class Runner(BaseRunner):
            @batch(max_size=4, max_wait=5)
            def run(self, n: list[int]) -> list[int]:
                return [os.getpid()] * len(n)
    """
    server: Server = serve(text, "--max-predictions-per-worker", "4", "--max-queue", "4")
    four = [server.start_async({"n": n}) for n in range(4)]
    (before,) = {server.wait_for(one)["output"] for one in four}
    until(server.workers, lambda pids: before not in pids and len(pids) == 1)


# Where two do not fit


@pytest.mark.skipif(not can_mount(), reason="this user may not mount a folder of its own")
def test_a_model_on_a_gpu_ends_before_the_next_one_starts(serve: Any, tmp_path: Path) -> None:
    """The device is a file here: what counts is its name."""
    devices = "mkdir /dev/shm && touch /dev/nvidia0 && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join([*under("/dev", devices), sys.executable])} "$@"\n')
    python.chmod(0o755)
    source = SYNC.replace("def setup(self):", "def setup(self):\n        self.gpu = open('/dev/nvidia0')")
    server: Server = serve(source, "--max-predictions-per-worker", "2", python=str(python))
    (server.folder / "closed").touch()
    (before,) = server.workers()
    assert [server.predict(PID).json()["output"] for _ in range(2)] == [before] * 2
    server.wait_log(
        "worker 0 takes no more predictions; the next one starts when it has ended: both at once do not fit"
    )
    server.wait_log("the model has opened a GPU, and what is free there is not measured")
    until(lambda: setups(server), lambda count: count == 2)
    assert not alive(before)
    assert server.health()["status"] == "STARTING"
    (server.folder / "closed").unlink()
    server.wait_health("READY")
    assert server.predict(PID).json()["output"] != before


# Memory

LEAK = body("sys.__dict__.setdefault('leak', []).append(b'x' * (30 * 2**20))\nreturn os.getpid()")


def test_a_worker_that_leaks_is_replaced(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-worker-memory", "100MiB")
    before = server.predict(PID).json()["output"]
    answers = [server.predict(LEAK) for _ in range(4)]
    assert {answer.json()["output"] for answer in answers} == {before}
    server.wait_log("more than the 100 MiB of --max-worker-memory")
    after = replaced(server, before)
    until(lambda: alive(before), lambda there: not there)
    assert server.predict(PID).json()["output"] == after


def test_what_it_has_started_counts(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-worker-memory", "100MiB")
    before = server.predict(PID).json()["output"]
    code = "held = b'x' * (120 * 2 ** 20); print('held', flush=True); import time; time.sleep(60)"
    start = "child = subprocess.Popen([sys.executable, '-c', $code], stdout=subprocess.PIPE)\nchild.stdout.readline()\nreturn child.pid"
    child = server.predict(body(start, code=code)).json()["output"]
    replaced(server, before)
    until(lambda: alive(child), lambda there: not there)


def test_a_model_that_is_larger_from_the_start_is_not_replaced_for_ever(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-worker-memory", "5MiB")
    server.wait_log("worker 0 takes")
    server.wait_log("more than the 5 MiB of --max-worker-memory: it is not replaced")
    before = server.predict(PID).json()["output"]
    server.predict(LEAK)
    assert set(served(server, clients=1, each=20)) == {before}
    assert setups(server) == 1
