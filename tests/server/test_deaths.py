"""A worker dies, in every way it can: only its own predictions fail, the cause is named, and there is a new one."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.receiving import Gate, Incoming, Receiver, Reply, receiving
from support.serving import Server, until
from support.steps import alive, body, fresh, let_go, model

# The descriptors of the channel lie at 900 and above, the data socket first.
CHANNEL = "sockets = sorted(fd for fd in map(int, os.listdir('/proc/self/fd')) if fd >= 900)\n"
TRESPASS = "model code closed, read or wrote a descriptor that it did not open"

WAYS = {
    "os._exit": ("os._exit(3)", "the worker process ended with exit code 3. The model's code, or a library"),
    "exit code 0": ("os._exit(0)", "the worker process ended with exit code 0"),
    "a signal": ("os.kill(os.getpid(), signal.SIGTERM)", "the worker process was killed by SIGTERM"),
    "a segfault": ("import ctypes; ctypes.string_at(0)", "the worker process was killed by SIGSEGV. C code"),
    "os.abort": ("os.abort()", "the worker process was killed by SIGABRT. C code"),
    "out of memory": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "the worker process was killed by SIGKILL. Usually the system ran out of memory",
    ),
    "every descriptor closed": ("os.closerange(3, 100_000)", TRESPASS),
    "the channel written to": (CHANNEL + "os.write(sockets[0], b'x' * 100); time.sleep(20)", TRESPASS),
    "its control socket closed": (CHANNEL + "os.close(sockets[1]); time.sleep(20)", TRESPASS),
}  # fmt: skip

FILES = """
    import os, sys
    from pathlib import Path as LocalPath
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def setup(self):
            if LocalPath("broken").exists():
                sys.exit("no more weights")

        def run(self, file: Path) -> str:
            return f"{os.getpid()} {file.read_text()}"
"""


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"))
    return started


def works(server: Server) -> int:
    """It is READY again and runs; gives the worker's process."""
    server.wait_health("READY")
    answer = server.predict(body("return os.getpid()"))
    assert (answer.status, answer.json()["status"]) == (200, "succeeded"), answer.body
    until(lambda: zombies(server), lambda left: left == [], 1)
    return int(answer.json()["output"])


def zombies(server: Server) -> list[str]:
    """Children of the server that ended and were not reaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) == server.process.pid:
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_its_prediction_fails_with_the_cause(server: Server, way: str) -> None:
    code, cause = WAYS[way]
    before = works(server)
    ended = server.predict(body("print('so far')\n" + code)).json()
    assert ended["status"] == "failed"
    assert ended["error"].startswith(f"WorkerDied: {cause}"), ended
    assert ended["logs"].startswith("so far\n")
    assert works(server) != before
    assert not alive(before)


def test_a_segfault_shows_where_python_was(server: Server) -> None:
    ended = server.predict(body("import ctypes; ctypes.string_at(0)")).json()
    assert "Fatal Python error: Segmentation fault" in ended["logs"]
    works(server)


def test_memory_that_python_cannot_have_is_an_exception_of_the_model(server: Server) -> None:
    code = """
        import resource
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (2**32, before[1]))
        try:
            bytearray(2**33)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
    """
    before = works(server)
    ended = server.predict(body(code)).json()
    assert (ended["status"], ended["error"]) == ("failed", "MemoryError")
    assert works(server) == before


def test_what_was_streamed_is_kept(serve: Any) -> None:
    server: Server = serve(model("generator"))
    ended = server.predict(body("print('hi')\nyield 1\nyield {'two': 2}\nos._exit(9)")).json()
    assert (ended["status"], ended["output"], ended["logs"]) == ("failed", [1, {"two": 2}], "hi\n")
    assert "exit code 9" in ended["error"]
    server.wait_health("READY")
    assert server.predict(body("yield 3")).json()["output"] == [3]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_closing_low_descriptors_harms_nobody(serve: Any, kind: str) -> None:
    server: Server = serve(model(kind))
    before = works(server)
    ended = server.predict(body("os.closerange(3, 120)\nreturn 'closed'")).json()
    assert (ended["status"], ended["output"]) == ("succeeded", "closed"), ended
    assert works(server) == before
    server.call("POST", f"/predictions/{server.start_async(body('while True: time.sleep(0.01)' if kind == 'sync' else 'await asyncio.sleep(60)'), id='stop')}/cancel")  # fmt: skip
    assert server.wait_for("stop")["status"] == "canceled"


def test_the_others_go_on(serve: Any) -> None:
    server: Server = serve(model("sync"), "--threads", "2", ready="2 of 2 workers")
    gate, child = fresh(), fresh()
    other = server.start_async(body("print('mine')\ngate($gate)\nreturn os.getpid()", gate=gate))
    server.wait_file(gate)
    code = """
        child = subprocess.Popen(["sleep", "60"])
        (FOLDER / $name).write_text(str(child.pid))
        os.kill(os.getpid(), 9)
    """
    assert server.predict(body(code, name=child)).json()["status"] == "failed"
    until(lambda: alive(int((server.folder / child).read_text())), lambda there: not there, 1)
    assert server.get(f"/predictions/{other}").json()["status"] == "processing"
    assert server.health()["status"] in ("READY", "BUSY")
    until(lambda: len(server.workers()), lambda count: count == 2)
    let_go(server, gate)
    ended = server.wait_for(other)
    assert (ended["status"], ended["logs"]) == ("succeeded", "mine\n")
    assert works(server) in server.workers()


# Before there is a model


def program(folder: Path, text: str, mode: int) -> str:
    path = folder / "python"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("text", "mode", "cause"),
    [
        ("#!/bin/sh\necho too old >&2\nexit 7\n", stat.S_IRWXU, "exit code 7 before the model was set up"),
        ("#!/bin/sh\nkill -9 $$\n", stat.S_IRWXU, "killed by SIGKILL"),
        ("no program", stat.S_IRWXU, "cannot be started"),
        ("", stat.S_IRUSR, "cannot be started"),
    ],
    ids=["exits", "is killed", "is no program", "is not allowed"],
)
def test_a_worker_that_never_connects(serve: Any, tmp_path: Path, text: str, mode: int, cause: str) -> None:
    python = program(tmp_path, text, mode)
    server: Server = serve(
        model("sync"), ready="the model is SETUP_FAILED", env={"COG_WORKER_PYTHON": python}
    )
    shown = server.health()
    assert (shown["status"], shown["setup"]["status"]) == ("SETUP_FAILED", "failed")
    assert cause in shown["setup"]["logs"]
    assert ("too old" in shown["setup"]["logs"]) == ("too old" in text)
    answer = server.predict()
    assert answer.status == 503
    assert cause in answer.json()["error"]
    assert "COG_WORKER_PYTHON" in answer.json()["error"] or "SIGKILL" in cause
    until(lambda: zombies(server), lambda left: left == [], 1)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import sys; sys.exit('no gpu')", "SystemExit: no gpu"),
        ("import os; os._exit(5)", "exit code 5"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    ],
    ids=["exits", "os._exit", "segfault"],
)
def test_an_import_that_ends_it(serve: Any, code: str, cause: str) -> None:
    server: Server = serve(f"print('loading')\n{code}\n", ready="the model is SETUP_FAILED")
    shown = server.health()
    assert shown["setup"]["logs"].startswith("loading\n")
    assert cause in shown["setup"]["logs"]
    assert cause in server.predict().json()["error"]
    until(server.workers, lambda pids: not pids, 1)
    until(lambda: zombies(server), lambda left: left == [], 1)


def test_a_setup_without_an_end_is_ended_with_its_children(serve: Any) -> None:
    source = """
        import ctypes, subprocess
        from pathlib import Path
        from cog import BaseRunner

        class Runner(BaseRunner):
            def setup(self):
                Path("child").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
                ctypes.PyDLL(None).sleep(60)

            def run(self) -> int:
                return 1
    """
    server: Server = serve(source, ready="the model is SETUP_FAILED", env={"COG_SETUP_TIMEOUT": "1"})
    child = int((server.folder / "child").read_text())
    until(lambda: [*server.workers(), *filter(alive, [child])], lambda left: not left, 1)
    assert "COG_SETUP_TIMEOUT" in server.predict().json()["error"]


# While predictions wait


@pytest.fixture
def slow_files() -> Iterator[tuple[Receiver, Gate]]:
    gate = Gate()

    def answer(_: Incoming) -> Reply:
        gate.wait()
        return Reply(body=b"content", headers={"content-type": "text/plain"})

    with receiving(answer) as receiver:
        yield receiver, gate
        gate.open()


def test_what_waits_for_its_files_runs_on_the_replacement(
    serve: Any, slow_files: tuple[Receiver, Gate]
) -> None:
    receiver, gate = slow_files
    server: Server = serve(FILES)
    (before,) = server.workers()
    running = server.start_async({"file": receiver.url + "/f.txt"})
    receiver.wait_for(1)
    os.kill(before, signal.SIGKILL)
    until(server.workers, lambda pids: pids and pids != [before])
    gate.open()
    ended = server.wait_for(running)
    assert ended["status"] == "succeeded", ended
    assert ended["output"] == f"{server.workers()[0]} content"


@pytest.mark.slow
def test_what_waits_for_a_model_that_does_not_come_back_fails(
    serve: Any, slow_files: tuple[Receiver, Gate]
) -> None:
    receiver, gate = slow_files
    server: Server = serve(FILES)
    (before,) = server.workers()
    running = server.start_async({"file": receiver.url + "/f.txt"})
    receiver.wait_for(1)
    (server.folder / "broken").touch()
    os.kill(before, signal.SIGKILL)
    server.wait_health("STARTING")
    gate.open()
    ended = server.wait_for(running)
    assert ended["status"] == "failed"
    assert "died again and again" in ended["error"]
    assert "no more weights" in ended["error"]
    assert server.health()["status"] == "DEFUNCT"


@pytest.mark.slow
def test_50_deaths_leave_no_descriptor_and_no_zombie(serve: Any) -> None:
    server: Server = serve(model("sync"))
    ways = [code for code, _ in WAYS.values() if "sleep" not in code]

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    works(server)
    for number in range(5):
        server.predict(body(ways[number % len(ways)]))
        works(server)
    before = descriptors()
    for number in range(50):
        assert server.predict(body(ways[number % len(ways)])).json()["status"] == "failed"
        works(server)
    assert descriptors() <= before + 2


@pytest.mark.slow
def test_a_worker_that_died_a_moment_ago_costs_no_request(serve: Any) -> None:
    """Its death is seen when the order is written: the prediction waits for the replacement instead of failing."""
    server: Server = serve(model("sync"))
    for _ in range(15):
        until(lambda: server.health()["status"], lambda status: status == "READY")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        answer = server.predict(body("return 1"))
        assert answer.status in (200, 503, 409)
        assert answer.status != 200 or answer.json()["status"] == "succeeded", answer.json()
        until(lambda: server.predict(body("return 1")).status, lambda status: status == 200)


ONCE = """
    import asyncio
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        async def run(self, name: str) -> int:
            with Path(name).open("a") as file:
                file.write("begun\\n")
            while True:
                await asyncio.sleep(0.01)
"""


def test_a_run_that_has_begun_is_not_begun_again(serve: Any) -> None:
    """The order that was not read is that of another run, which is written off by then."""
    server: Server = serve(ONCE, "--cancel-grace", "0.3", env={"COG_MAX_CONCURRENCY": "2"})
    first = server.start_async({"name": "first"})
    server.wait_file("first")
    until(
        (server.folder / "first").read_text, lambda text: text == "begun\n"
    )  # it is there before it is written
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    second = server.start_async({"name": "second"})
    server.call("POST", f"/predictions/{second}/cancel")
    assert server.wait_for(second)["status"] == "canceled"
    os.kill(worker, signal.SIGKILL)
    ended = server.wait_for(first)
    assert (ended["status"], ended["error"][:11]) == ("failed", "WorkerDied:")
    assert (server.folder / "first").read_text() == "begun\n"
    assert not (server.folder / "second").exists()


def test_memory_is_taken_from_the_worker_first(serve: Any) -> None:
    server: Server = serve(model("sync"))
    (worker,) = server.workers()
    own, its = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (server.process.pid, worker))
    assert its >= max(500, own)
