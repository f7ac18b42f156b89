"""Nothing that a model or a client does costs a slot or the server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from support.serving import Server, children, until

Served = Callable[..., Server]
Beside = Callable[..., "Future[Any]"]


def still_serves(server: Server) -> bool:
    """True when a plain prediction is right, again and again; a worker may have to be replaced before."""
    until(
        lambda: server.predict({"s": "out = 'alive'"}, timeout=10).json().get("output"),
        lambda output: output == "alive",
        timeout=15,
    )
    answers = [server.predict({"s": "out = 'alive'"}, timeout=10) for _ in range(3)]
    return all(answer.status == 200 and answer.json()["output"] == "alive" for answer in answers)


@pytest.mark.parametrize("identity", ["a" * 300, "a\0b", "/proc/x/y"])
def test_j1_an_id_never_costs_a_slot(served: Served, identity: str) -> None:
    server = served()
    assert server.predict({"s": "out = 1"}, fields={"id": identity}).status == 422
    answer = server.predict({"s": "out = 1"}, fields={"id": identity}, headers={"prefer": "respond-async"})
    assert answer.status == 422
    assert still_serves(server)


def test_j1_a_folder_that_cannot_be_made_never_costs_a_slot(served: Served, tmp_path: Path) -> None:
    home = tmp_path / "temporary"
    home.mkdir()
    server = served(env={"TMPDIR": str(home)})
    kept = {path: path.stat().st_mode for path in [home, *home.rglob("*")] if path.is_dir()}
    moved = tmp_path / "moved"
    home.rename(moved)  # every mkdir below it fails now, as on a full disk
    answer = server.predict({"s": "out = 1"})
    moved.rename(home)
    assert answer.json()["status"] in ("failed", "succeeded")
    assert kept
    assert still_serves(server)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_j2_a_death_is_named_and_repaired(served: Served, code: str, named: str) -> None:
    server = served()
    dead = server.predict({"s": f"print('before')\n{code}"}).json()
    assert dead["status"] == "failed"
    assert named in dead["error"]
    assert "before" in dead["logs"]
    assert still_serves(server)
    assert server.health()["status"] == "READY"


def test_j2_closed_descriptors(served: Served) -> None:
    server = served()
    server.predict({"s": "import os; os.closerange(3, 120); out = 1"})
    assert still_serves(server)
    assert server.health()["status"] == "READY"


def test_j2_a_worker_killed_while_idle_costs_no_request(served: Served) -> None:
    server = served()
    worker = server.predict({"s": "import os; out = os.getpid()"}).json()["output"]
    os.kill(worker, signal.SIGKILL)
    until(lambda: Path(f"/proc/{worker}").exists(), lambda there: not there, timeout=5)
    answers = []

    def ask() -> int:
        answers.append(server.predict({"s": "out = 1"}))
        return answers[-1].status

    until(ask, lambda status: status == 200)
    assert {answer.status for answer in answers} <= {200, 503}
    assert answers[-1].json()["status"] == "succeeded"


def test_j7_a_model_that_reads_stdin(served: Served) -> None:
    server = served()
    answer = server.predict({"s": "import sys; out = sys.stdin.read()"}, timeout=5)
    assert answer.json()["output"] == ""
    assert still_serves(server)


DEEP = "out = 1\nfor _ in range(126): out = [out]\nout = {'a': out}"


def test_j36_depth_is_no_limit_of_the_channel(served: Served) -> None:
    server = served()
    answer = server.predict({"s": DEEP}).json()
    assert answer["status"] == "succeeded"
    level, depth = answer["output"]["a"], 0
    while isinstance(level, list):
        level, depth = level[0], depth + 1
    assert depth == 126
    metric = "from cog import current_scope\nv = 1\nfor _ in range(130): v = [v]\ncurrent_scope().record_metric('deep', v)"
    server.predict({"s": metric}, timeout=10)
    assert still_serves(server)


def test_j37_a_text_of_9_mb_in_an_exception(served: Served) -> None:
    server = served()
    answer = server.predict({"s": "raise ValueError('x' * 9_000_000)"}).json()
    assert answer["status"] == "failed"
    assert answer["error"].startswith("ValueError: xxx")
    assert still_serves(server)


GENERATOR = """
from cog import BaseRunner, ConcatenateIterator, current_scope
from typing import Iterator

class Runner(BaseRunner):
    def run(self, s: str) -> Iterator[int]:
        if s == "out = 'alive'":
            yield 0
            return
        yield 1
        exec(s, {"current_scope": current_scope})
        yield 2
"""


@pytest.mark.parametrize(
    "code", ["current_scope().record_metric('x', 'a' * 9_000_000)", "print('\\x01' * 3_000_000)"]
)
def test_j37_a_stream_is_never_cut_and_called_succeeded(served: Served, code: str) -> None:
    server = served(GENERATOR)
    answer = server.predict({"s": code}).json()
    assert (answer["status"], answer["output"]) in (("succeeded", [1, 2]), ("failed", [1]))
    if "print" in code:
        assert answer["status"] == "succeeded"
        assert len(answer["logs"]) >= 3_000_000
    else:
        assert answer["status"] == "succeeded" or "x" in answer["error"]
    assert server.predict({"s": "out = 'alive'"}).json()["output"] == [0]


ASYNC = """
import asyncio, sys
from cog import BaseRunner

class Runner(BaseRunner):
    async def run(self, s: str) -> str:
        if s == "exit":
            sys.exit(2)
        if s == "interrupt":
            raise KeyboardInterrupt
        if s == "task":
            async def leave() -> None:
                sys.exit(3)
            task = asyncio.ensure_future(leave())
            await asyncio.wait([task])
        return s
"""


@pytest.mark.parametrize("end", ["exit", "interrupt", "task"])
def test_j38_sys_exit_ends_that_prediction_alone(served: Served, end: str) -> None:
    server = served(ASYNC, env={"COG_MAX_CONCURRENCY": "4"})
    answer = server.predict({"s": end}, timeout=5).json()
    assert answer["status"] == ("succeeded" if end == "task" else "failed")
    assert server.predict({"s": "next"}, timeout=5).json()["output"] == "next"


@pytest.mark.local_only("the server, too, would be started by what it puts in the place of Python")
def test_j40_a_worker_that_dies_before_it_connects(served: Served, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "python"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no luck >&2\nexit 7\n")
    broken.chmod(0o755)
    variables = {"COG_WORKER_PYTHON": str(broken), "PATH": f"{broken.parent}:{os.environ['PATH']}"}
    server = served(env={**variables, "COG_SETUP_TIMEOUT": "1"}, ready=None)
    health = server.wait_health("SETUP_FAILED", timeout=5)
    assert "exit code 7" in health["setup"]["logs"]
    assert "no luck" in health["setup"]["logs"]
    assert "exit code 7" in server.predict({"s": "out = 1"}).json()["error"]


def worker_of(server: Server) -> int:
    """Found from outside: the worker may be frozen."""
    pid = server.predict({"s": "import os; out = os.getpid()"}).json()["output"]
    assert isinstance(pid, int)
    return pid


def test_j41_a_frozen_worker_does_not_hold_up_the_end(served: Served) -> None:
    server = served(env={"COG_DRAIN_TIMEOUT": "1", "COG_CANCEL_GRACE": "1"})
    worker = worker_of(server)
    os.kill(worker, signal.SIGSTOP)
    assert server.stop(timeout=12) == 0
    assert not Path(f"/proc/{worker}").exists()


def test_j44_a_frozen_worker_delays_nobody(served: Served, beside: Beside) -> None:
    server = served(env={"COG_CANCEL_GRACE": "1"})
    worker = worker_of(server)
    os.kill(worker, signal.SIGSTOP)
    frozen = beside(server.predict, {"s": "out = 1"}, fields={"id": "frozen"})
    began = time.monotonic()
    server.wait_health("BUSY", "UNHEALTHY")
    assert server.predict({"s": "out = 1"}).status == 409
    assert server.call("POST", "/predictions/frozen/cancel").status == 200
    assert time.monotonic() - began < 4
    assert frozen.result(10).json()["status"] == "canceled"
    assert still_serves(server)
    assert worker not in children(server.process.pid)
