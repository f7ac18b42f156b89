"""What a model says, and why it failed, reaches who wants to know."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.other import serving_other
from support.serving import Server, write_model

Served = Callable[..., Server]

CHUNKS = """
import time
from typing import Iterator
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, end: str) -> Iterator[str]:
        print("hi")
        yield "one"
        yield "two"
        if end == "raise":
            raise ValueError("bad thing")
        open("waiting", "w").close()
        time.sleep(60)
"""


def test_j12_what_failed_keeps_its_logs_and_its_output(served: Served) -> None:
    answer = served(CHUNKS).predict({"end": "raise"}).json()
    assert answer["status"] == "failed"
    assert answer["logs"].startswith("hi\n")
    assert answer["output"] == ["one", "two"]


def test_j12_what_was_canceled_too(served: Served) -> None:
    server = served(CHUNKS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.predict, {"end": "wait"}, fields={"id": "one"})
        server.wait_file("waiting")
        server.call("POST", "/predictions/one/cancel")
        answer = running.result(30).json()
    assert (answer["status"], answer["output"]) == ("canceled", ["one", "two"])
    assert answer["logs"].startswith("hi\n")


def test_j13_the_traceback_is_in_the_logs_and_the_error_is_told_once(served: Served) -> None:
    answer = served(CHUNKS).predict({"end": "raise"}).json()
    assert answer["error"] == "ValueError: bad thing"
    assert "Traceback (most recent call last)" in answer["logs"]
    assert 'raise ValueError("bad thing")' in answer["logs"]


SETUP = """
from cog import BaseRunner

class Runner(BaseRunner):
    def setup(self) -> None:
        for number in range(60_000):
            print("line", number)
        FAIL

    def run(self) -> str:
        return "ok"
"""
LINES = "".join(f"line {number}\n" for number in range(60_000))


def test_j15_setup_logs_are_whole(served: Served) -> None:
    server = served(SETUP.replace("FAIL", "pass"))
    assert server.health()["setup"]["logs"] == LINES


@pytest.mark.slow
def test_j15_those_of_a_failed_setup_too(served: Served) -> None:
    server = served(SETUP.replace("FAIL", "raise RuntimeError('no weights')"), ready=None)
    setup = server.wait_health("SETUP_FAILED")["setup"]
    assert setup["logs"].startswith(LINES)
    assert "RuntimeError: no weights" in setup["logs"][len(LINES) :]
    assert server.log.count("line 59999") == 1


def test_j16_output_of_subprocesses_and_of_c_is_in_the_logs(served: Served) -> None:
    server = served()
    code = "import subprocess, ctypes, os\nsubprocess.run(['echo', 'child'])\nctypes.CDLL(None).puts(b'from C')\nos.write(2, b'raw\\n')"
    logs = server.predict({"s": code}).json()["logs"]
    assert all(text in logs for text in ("child\n", "from C\n", "raw\n"))


PRINTING = """
class Runner(BaseRunner):
    def run(self) -> int:
        print("seen on the console")
        return 1
"""


def test_j18_prints_reach_the_console_at_any_level(tmp_path: Path) -> None:
    python = os.environ.get("COG_OTHER_PYTHON", sys.executable)
    folder = write_model(tmp_path, "from cog import BaseRunner\n" + PRINTING)
    with serving_other(python, folder, env={"COG_LOG_LEVEL": "warning"}) as server:
        assert server.predict({}).json()["output"] == 1
        server.wait_log("seen on the console", timeout=5)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.writelines(['a', 'b'])",
        "import sys; sys.stdout.reconfigure(line_buffering=True)",
        "import sys; assert isinstance(sys.stdout.errors, str) and isinstance(sys.stdout.name, str) and sys.stdout.mode == 'w'",
        "print('\\ud800')",
        "import sys; assert sys.stdout.write('\\u00e9') == 1",
    ],
)
def test_j28_stdout_is_a_whole_stream(served_once: Served, code: str) -> None:
    answer = _server(served_once).predict({"s": code}).json()
    assert answer["status"] == "succeeded", answer["error"]


def test_j28_a_closed_stdout_mutes_nobody_else(served_once: Served) -> None:
    server = _server(served_once)
    server.predict({"s": "import sys; sys.stdout.close()"})
    assert server.predict({"s": "print('heard')"}).json()["logs"] == "heard\n"


_servers: list[Server] = []


def _server(served_once: Served) -> Server:
    """One for all tests of the module."""
    if not _servers:
        _servers.append(served_once())
    return _servers[0]
