"""Models that fork, start processes, and leave some behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.models import WAITING
from support.serving import Server, until
from support.steps import alive

MODEL = (
    WAITING
    + """
import concurrent.futures, multiprocessing, subprocess, sys
from typing import Any, Iterator
from cog import BaseRunner

def square(x):
    return x * x

def shout(text):
    print(text, flush=True)

class Runner(BaseRunner):
    def setup(self) -> None:
        self.daemon = subprocess.Popen(["sleep", "600"])  # keeps descriptors 1 and 2 open

    def run(self, code: str) -> Iterator[Any]:
        yield "first"
        names = globals()
        names.update(self=self, out=None)
        exec(code, names)
        yield names["out"]
"""
)


@pytest.fixture(scope="module")
def _server(serve_once: Any) -> Server:
    server: Server = serve_once(MODEL)
    return server


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """Afterwards the next prediction is right, and our log has no error."""
    before = _server.workers()
    line = len(_server.lines)
    yield _server
    answer = _server.predict({"code": "print('p'); out = 42"}).json()
    assert (answer["output"], answer["logs"]) == (["first", 42], "p\n"), answer
    assert _server.workers() == before
    assert [told for told in _server.lines[line:] if told["level"] in ("WARN", "WARNING", "ERROR")] == []


def ran(server: Server, code: str) -> Any:
    prediction = server.predict({"code": code}).json()
    assert prediction["status"] == "succeeded", prediction
    assert prediction["output"][0] == "first"
    return prediction


@pytest.mark.parametrize(
    ("child", "status"),
    [("pass", 0), ("raise ValueError('in the child')", 1), ("sys.exit(7)", 7), ("os._exit(9)", 9)],
)
def test_a_forked_child_of_a_generator(server: Server, child: str, status: int) -> None:
    code = f"child = os.fork()\nif child == 0:\n    print('hello', flush=True); {child}\nelse: out = os.waitpid(child, 0)[1] >> 8"
    prediction = ran(server, code)
    assert prediction["output"] == ["first", status]
    assert prediction["logs"].startswith("hello\n")


def test_a_child_that_outlives_its_prediction(server: Server) -> None:
    code = (
        "child = os.fork()\nif child == 0:\n    hold('speak'); print('from beyond'); os._exit(0)\nout = child"
    )
    prediction = ran(server, code)
    (server.folder / "speak").touch()
    server.wait_log("from beyond")
    shown = server.get(f"/predictions/{prediction['id']}").json()
    assert "beyond" not in shown["logs"]


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_multiprocessing(server: Server, way: str) -> None:
    code = (
        f"context = multiprocessing.get_context({way!r})\n"
        "with context.Pool(1) as pool: out = pool.map(square, [1, 2, 3])\n"
        "child = context.Process(target=shout, args=('hello',)); child.start(); child.join()\n"
        "child = context.Process(target=sys.exit, args=(4,)); child.start(); child.join(); out.append(child.exitcode)"
    )
    prediction = ran(server, code)
    assert prediction["output"] == ["first", [1, 4, 9, 4]]
    assert prediction["logs"] == "hello\n"


def test_a_pool_of_processes_and_what_fails_in_it(server: Server) -> None:
    code = "with concurrent.futures.ProcessPoolExecutor(1) as pool: out = list(pool.map(square, {}))"
    assert ran(server, code.format([2, 3]))["output"] == ["first", [4, 9]]
    failed = server.predict({"code": code.format(["a"])}).json()
    assert (failed["status"], failed["output"]) == ("failed", ["first"])
    assert failed["error"].startswith("TypeError: can't multiply")


def test_a_grandchild_that_holds_the_pipes_delays_nothing(server: Server) -> None:
    before = time.monotonic()
    prediction = ran(server, "p = subprocess.Popen(['sleep', '300']); print('started'); out = p.pid")
    assert prediction["logs"] == "started\n"
    assert time.monotonic() - before < 10


def test_a_grandchild_that_never_stops_writing_delays_nothing(server: Server) -> None:
    before = time.monotonic()
    prediction = ran(server, "self.yes = subprocess.Popen(['yes', 'y' * 4000])")
    assert prediction["status"] == "succeeded"
    assert server.health()["status"] in ("READY", "BUSY")
    ran(server, "self.yes.kill(); self.yes.wait()")
    assert time.monotonic() - before < 20
    until(lambda: _quiet(server), bool)


def _quiet(server: Server) -> bool:
    """True when what the child has written has all been read: the next prediction's logs are its own."""
    return bool(ran(server, "print('p')")["logs"] == "p\n")


def test_what_setup_has_started_ends_with_the_worker(serve: Any) -> None:
    server = serve(MODEL)
    daemon = ran(server, "out = self.daemon.pid")["output"][1]
    forked = ran(server, "out = os.fork() or time.sleep(600)")["output"][1]
    assert alive(daemon)
    assert alive(forked)
    before = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - before < 12
    until(lambda: alive(daemon) or alive(forked), lambda living: not living)


FORKS = """
import os
from pathlib import Path
from cog import BaseRunner

class Runner(BaseRunner):
    def setup(self) -> None:
        child = os.fork()
        if child:
            Path(__file__).with_name("child").write_text(str(child))

    def run(self) -> str:
        return "fine"
"""


def test_a_child_that_comes_back_from_setup_as_well_ends(serve: Any) -> None:
    server: Server = serve(FORKS)
    assert server.predict().json()["output"] == "fine"
    child = int((server.folder / "child").read_text())
    until(lambda: alive(child), lambda living: not living)
    assert server.predict().json()["output"] == "fine"
