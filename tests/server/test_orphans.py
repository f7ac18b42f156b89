"""The server is gone, in whatever way: so are its workers and everything they started, within a second."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.serving import Server, is_guard, until
from support.steps import alive, body, fresh, model

CHILD = """
    child = subprocess.Popen(["sh", "-c", "trap '' TERM HUP INT; sleep 60"])
    (FOLDER / $name).with_suffix(".part").write_text(str(child.pid))
    (FOLDER / $name).with_suffix(".part").rename(FOLDER / $name)
"""

THEN = {
    "idle": "return None",
    "computing": "while True: pass",
    "in C code with the lock": "import ctypes; ctypes.PyDLL(None).sleep(60)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}

LOADING = """
    import ctypes, subprocess
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            child = subprocess.Popen(["sleep", "60"])
            Path("part").write_text(str(child.pid))
            Path("part").rename("child")
            ctypes.PyDLL(None).sleep(60)

        def run(self) -> int:
            return 1
"""


def guards(server: Server) -> list[int]:
    """The guards of a server, whether it lives or not: they are children of it as long as it does."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == server.process.pid and state != "Z" and is_guard(int(path.parent.name)):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def gone(pids: list[int]) -> None:
    """Within a second, as docs/reliability.md says, where the processors are free; here other tests use them too."""
    until(lambda: [pid for pid in pids if alive(pid)], lambda left: not left, 3.0)


@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("in C code with the lock", signal.SIGKILL),
        pytest.param("in C code with the lock", signal.SIGSEGV, marks=pytest.mark.slow),
        ("idle", signal.SIGKILL),
        pytest.param("computing", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("stopped", signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_everything_ends_with_a_server_that_dies(serve: Any, then: str, number: int) -> None:
    server: Server = serve(model("sync"))
    name = fresh()
    server.start_async({"code": body(CHILD, name=name)["code"] + THEN[then]})
    child = int(server.wait_file(name).read_text())
    pids = [*server.workers(), *guards(server), child]
    assert len(pids) == 3
    server.process.send_signal(number)
    server.process.wait(10)
    gone(pids)


@pytest.mark.slow
def test_two_workers_and_an_async_one(serve: Any) -> None:
    plain: Server = serve(model("sync"), "--threads", "2", ready="2 of 2 workers")
    asynchronous: Server = serve(model("async"))
    name = fresh()
    asynchronous.start_async({"code": body(CHILD, name=name)["code"] + "while True: pass"})
    child = int(asynchronous.wait_file(name).read_text())
    pids = [child, *plain.workers(), *asynchronous.workers(), *guards(plain), *guards(asynchronous)]
    assert len(pids) == 6
    for server in (plain, asynchronous):
        server.process.kill()
        server.process.wait(10)
    gone(pids)


def test_a_setup_ends_too(serve: Any) -> None:
    server: Server = serve(LOADING, ready=None)
    child = int(server.wait_file("child").read_text())
    pids = [*server.workers(), child]
    server.process.kill()
    server.process.wait(10)
    gone(pids)


def test_a_guard_that_was_killed_is_replaced_and_knows_the_workers(serve: Any) -> None:
    server: Server = serve(model("sync"))
    name = fresh()
    server.start_async(
        {"code": body(CHILD, name=name)["code"] + "import ctypes; ctypes.PyDLL(None).sleep(60)"}
    )
    child = int(server.wait_file(name).read_text())
    (guard,) = guards(server)
    for harmless in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guard, harmless)
    os.kill(guard, signal.SIGKILL)
    (second,) = until(lambda: guards(server), lambda found: found and found != [guard])
    assert not Path(f"/proc/{guard}").exists()  # it was reaped
    pids = [*server.workers(), child, second]
    server.process.kill()
    server.process.wait(10)
    gone(pids)


@pytest.mark.slow
def test_a_guard_that_dies_again_and_again_is_let_be(serve: Any) -> None:
    server: Server = serve(model("sync"))
    seen: list[int] = []
    for _ in range(5):
        (guard,) = until(lambda: guards(server), lambda found: found and found[0] not in seen)
        seen.append(guard)
        os.kill(guard, signal.SIGKILL)
    until(lambda: [pid for pid in seen if Path(f"/proc/{pid}").exists()], lambda left: not left, 5)
    assert (
        server.predict(body("os._exit(1)")).json()["status"] == "failed"
    )  # a new worker, and nobody to tell it
    server.wait_health("READY")
    assert server.predict(body("return 1")).json()["output"] == 1
    assert guards(server) == []


@pytest.mark.local_only("with a container everything in it ends")
def test_a_guard_of_a_server_that_ends_in_order_kills_nobody(serve: Any) -> None:
    server: Server = serve(model("sync"))
    name = fresh()
    code = "child = subprocess.Popen(['sleep', '60'], start_new_session=True, env={})\n(FOLDER / $name).write_text(str(child.pid))"
    server.predict(body(code, name=name))
    away = int((server.folder / name).read_text())
    pids = [*server.workers(), *guards(server)]
    assert server.stop() == 0
    gone(pids)
    assert alive(away)  # it left the worker's group, and its mark
    os.kill(away, signal.SIGKILL)


STRAY = """
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    (FOLDER / $name).with_suffix(".part").write_text(str(child.pid))
    (FOLDER / $name).with_suffix(".part").rename(FOLDER / $name)
"""


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL", "twice", "worker"])
def test_what_left_the_process_group_ends_too(serve: Any, end: str) -> None:
    server: Server = serve(model("sync"))
    name = fresh()
    assert server.predict({"code": body(STRAY, name=name)["code"]}).json()["status"] == "succeeded"
    stray = int(server.wait_file(name).read_text())
    worker = server.workers()
    assert alive(stray)
    if end == "worker":
        os.kill(worker[0], signal.SIGKILL)
    elif end == "twice":
        server.start_async({"code": "import time; time.sleep(60)"})
        server.process.send_signal(signal.SIGTERM)
        server.wait_log("finishes what is running")
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(10)
    else:
        server.process.send_signal(getattr(signal, end))
        server.process.wait(10)
    until(lambda: alive(stray), lambda there: not there, 2.0)


def test_a_stray_of_one_worker_does_not_end_with_another(serve: Any) -> None:
    server: Server = serve(model("sync"), "--threads", "2")
    server.wait_log("2 of 2 workers")
    owners: dict[int, int] = {}
    while len(owners) < 2:  # both have to run one: the model says which process it is
        name = fresh()
        code = body(STRAY, name=name)["code"] + "\nreturn os.getpid()"
        answers = [server.start_async({"code": code.replace(name, f"{name}-{n}")}) for n in range(2)]
        for n, answer in enumerate(answers):
            owner = server.wait_for(answer)["output"]
            stray = int(server.wait_file(f"{name}-{n}").read_text())
            owners.setdefault(owner, stray)
    (first, stray), (_, other) = owners.items()
    os.kill(first, signal.SIGKILL)
    until(lambda: alive(stray), lambda there: not there, 2.0)
    assert alive(other)
