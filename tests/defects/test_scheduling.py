"""Who runs when and where: health checks, threads, setup, concurrency, the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from support.serving import Server, children, until

Served = Callable[..., Server]
Beside = Callable[..., "Future[Any]"]

SLOW_CHECK = """
import time
from cog import BaseRunner, CancelationException

class Runner(BaseRunner):
    def healthcheck(self) -> bool:
        open("checking", "w").close()
        time.sleep(4)
        return True

    def run(self, wait: bool) -> str:
        open("running", "w").close()
        while wait:
            time.sleep(0.01)
        return "done"
"""


def test_j8_a_slow_healthcheck_delays_nothing(served: Served, beside: Beside) -> None:
    server = served(SLOW_CHECK, ready=None)
    until(lambda: server.predict({"wait": False}).status, lambda status: status == 200)
    (server.folder / "running").unlink()
    (server.folder / "checking").unlink(missing_ok=True)
    beside(server.health)
    server.wait_file("checking")
    began = time.monotonic()
    assert server.predict({"wait": False}).json()["output"] == "done"
    (server.folder / "running").unlink()
    running = beside(server.predict, {"wait": True}, fields={"id": "one"})
    server.wait_file("running")
    assert server.call("POST", "/predictions/one/cancel").status == 200
    assert running.result(10).json()["status"] == "canceled"
    assert time.monotonic() - began < 2.5


def test_j17_a_sync_model_runs_in_one_thread(served: Served) -> None:
    server = served()
    code = "import threading; out = [threading.get_ident(), threading.current_thread() is threading.main_thread()]"
    threads = [server.predict({"s": code}).json()["output"] for _ in range(12)]
    assert len({ident for ident, _ in threads}) == 1
    assert threads[0][1] is True
    made = (
        "import contextvars, sqlite3, threading\n"
        "self.base, self.local, self.var = sqlite3.connect(':memory:'), threading.local(), contextvars.ContextVar('var')\n"
        "self.local.kept = True; self.var.set(True)"
    )
    server.predict({"s": made})
    used = (
        "import asyncio, signal\nself.base.execute('select 1')\nsignal.signal(signal.SIGUSR1, signal.SIG_DFL)\n"
        "asyncio.get_event_loop()\nassert self.local.kept and self.var.get()"
    )
    assert server.predict({"s": used}).json()["error"] is None


SETUP = """
import os, pathlib, time
from cog import BaseRunner

class Runner(BaseRunner):
    def setup(self) -> None:
        pathlib.Path("pid.part").write_text(str(os.getpid()))
        os.rename("pid.part", "pid")
        time.sleep(60)

    def run(self) -> str:
        return "ok"
"""


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_j23_a_setup_that_takes_too_long_is_over(served: Served) -> None:
    server = served(SETUP, env={"COG_SETUP_TIMEOUT": "1"}, ready=None)
    worker = int(server.wait_file("pid").read_text())
    server.wait_health("SETUP_FAILED", timeout=5)
    until(lambda: gone(worker), bool, timeout=2)
    answer = server.predict({})
    assert answer.status == 503
    assert "COG_SETUP_TIMEOUT" in answer.json()["error"]


def test_j23_no_orphan_when_the_server_ends_in_setup(served: Served) -> None:
    server = served(SETUP, ready=None)
    worker = int(server.wait_file("pid").read_text())
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(10)
    assert gone(worker)


def test_j29_false_is_false(served: Served) -> None:
    for word, ends in (("false", True), ("true", False)):
        server = served(
            "from cog import BaseRunner\nclass Runner(BaseRunner):\n    def run(self) -> int:\n        return 1\n",
            f"--await-explicit-shutdown={word}",
        )
        server.process.send_signal(signal.SIGTERM)
        if ends:
            assert server.process.wait(10) == 0
        else:
            assert server.predict({}).status == 200
            assert server.call("POST", "/shutdown").status == 200
            assert server.process.wait(10) == 0


CONCURRENT = """
import asyncio
from cog import BaseRunner, concurrent

class Runner(BaseRunner):
    def setup(self) -> None:
        self.inside = 0
        self.all_in = None

    @concurrent(max=4)
    async def run(self) -> int:
        if self.all_in is None:
            self.all_in = asyncio.Event()
        self.inside += 1
        if self.inside == 4:
            self.all_in.set()
        await asyncio.wait_for(self.all_in.wait(), 10)
        return self.inside
"""


def test_j46_the_decorator_is_enough(served: Served, beside: Beside) -> None:
    server = served(CONCURRENT)
    answers = [beside(server.predict, {}) for _ in range(4)]
    assert [answer.result(15).json().get("output") for answer in answers] == [4] * 4


def test_no_zombie_is_left(served: Served) -> None:
    server = served()
    for _ in range(3):
        server.predict({"s": "import os; os._exit(1)"})
        until(lambda: server.predict({"s": "out = 1"}).json().get("output"), lambda output: output == 1)
    states = [
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        for pid in children(server.process.pid)
    ]
    zombies = [
        path
        for path in Path("/proc").glob("[0-9]*/stat")
        if _parent_and_state(path) == (server.process.pid, "Z")
    ]
    assert "Z" not in states
    assert not zombies


def _parent_and_state(path: Path) -> tuple[int, str]:
    try:
        state, parent = path.read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return 0, ""
    return int(parent), state
