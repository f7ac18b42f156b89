"""--busy-poll: server and workers look for more before they sleep, and for no longer than they were told. Without it see
backend/test_tempo.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cog.worker.busy_poll import Waiting
from support.serving import DEADLINE, Server, request, serving, until, write_model
from support.steps import body, fresh, let_go, model

LOOKS = 0.1
WINDOW = 0.2


def computed(pid: int) -> float:
    """Seconds of processor time that a process has taken (Linux, sched-stats.rst)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def asleep(pids: Sequence[int]) -> Any:
    """Wait until all of them do next to nothing; gives what each has computed so far."""

    def reading() -> tuple[list[float], list[float]]:
        before = [computed(pid) for pid in pids]
        time.sleep(WINDOW)  # what is measured is a time
        return before, [computed(pid) for pid in pids]

    def rested(seen: tuple[list[float], list[float]]) -> bool:
        return all(after - before < WINDOW / 10 for before, after in zip(*seen, strict=True))

    return until(reading, rested)[1]


@pytest.mark.parametrize("kind", ["sync", "async", "generator"])
def test_server_and_worker_look_for_as_long_as_they_were_told(serve: Any, kind: str) -> None:
    server: Server = serve(model(kind), "--busy-poll", str(LOOKS))
    pids = [server.process.pid, *server.workers()]
    before = asleep(pids)
    most = [0.0, 0.0]
    deadline = time.monotonic() + DEADLINE
    while min(most) < LOOKS / 5:  # whoever has to share the processor sleeps
        assert time.monotonic() < deadline, most
        assert server.predict(body("yield 1" if kind == "generator" else "return 1")).status == 200
        after = asleep(pids)
        most = [max(last, now - then) for last, now, then in zip(most, after, before, strict=True)]
        before = after


def test_without_it_they_sleep_after_a_few_predictions(serve: Any) -> None:
    server: Server = serve(model("sync"))
    pids = [server.process.pid, *server.workers()]
    before = asleep(pids)
    for _ in range(3):
        assert server.predict(body("return 1")).status == 200
    after = asleep(pids)
    assert max(now - then for now, then in zip(after, before, strict=True)) < LOOKS / 2


def test_who_has_to_share_the_processor_sleeps() -> None:
    """Beside a process that computes on the same processor it waits as if nothing had been said."""
    ours, theirs = socket.socketpair()
    wait = Waiting(ours, LOOKS)
    processor = min(os.sched_getaffinity(0))
    allowed = os.sched_getaffinity(0)
    hog = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import os\nos.sched_setaffinity(0, [{processor}])\nprint(1, flush=True)\nwhile True: pass",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert hog.stdout is not None
        assert hog.stdout.readline() == b"1\n"
        os.sched_setaffinity(0, [processor])
        timer = threading.Timer(3 * LOOKS, theirs.send, [b"x"])
        timer.start()
        before = time.thread_time()
        wait()
        assert time.thread_time() - before < LOOKS / 2
        timer.join()
        assert ours.recv(1, socket.MSG_DONTWAIT) == b"x"
    finally:
        os.sched_setaffinity(0, allowed)
        hog.kill()
        hog.communicate()
        ours.close()
        theirs.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_end_of_a_long_run_a_cancel_and_the_next_prediction_are_seen(serve: Any, kind: str) -> None:
    server: Server = serve(model(kind), "--busy-poll", "0.001")
    gate = fresh()
    wait = "gate" if kind == "sync" else "await async_gate"
    long = server.start_async(body(f"{wait}($gate)\nreturn 'late'", gate=gate))
    server.wait_file(gate)
    asleep([server.process.pid])
    let_go(server, gate)
    assert server.wait_for(long)["output"] == "late"
    gate = fresh()
    canceled = server.start_async(body(f"{wait}($gate)", gate=gate))
    server.wait_file(gate)
    assert server.call("POST", f"/predictions/{canceled}/cancel").status == 200
    assert server.wait_for(canceled)["status"] == "canceled"
    assert [server.predict(body(f"return {number}")).json()["output"] for number in range(20)] == list(
        range(20)
    )


def test_a_worker_that_dies_meanwhile_is_replaced(serve: Any) -> None:
    server: Server = serve(model("sync"), "--busy-poll", str(LOOKS))
    before = server.workers()
    answer = server.predict(body("os._exit(3)"))
    assert (answer.status, answer.json()["status"]) == (200, "failed")
    until(
        lambda: (server.health()["status"], server.workers()),
        lambda seen: seen[0] == "READY" and seen[1] != before,
    )
    assert server.predict(body("return 1")).json()["output"] == 1


def test_the_end_does_not_wait_for_it(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", model("sync"))
    with serving(folder, "--threads", "1", "--busy-poll", str(LOOKS)) as server:
        assert server.predict(body("return 1")).status == 200
        assert request(f"{server.url}/shutdown", "POST").status == 200
        assert server.process.wait(20) == 0
