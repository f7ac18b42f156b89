"""Signals that come while the server starts, and a stderr that is closed, gone or full."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import command, environment, free_port
from support.ending import processes_in
from support.serving import DEADLINE, request, until, write_model

MODEL = """
    import sys
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self, lines: int = 0) -> int:
            for _ in range(lines):
                print("x" * 99)
            return lines
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODEL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_of_the_start_leaves_nothing(folder: Path, number: int) -> None:
    moments = random.Random(number)
    pause = threading.Event()
    with tempfile.TemporaryDirectory() as temporary:
        for _ in range(6):
            process = subprocess.Popen(
                command(), cwd=folder, env=environment({"TMPDIR": temporary}), stderr=subprocess.PIPE
            )
            with process:
                pause.wait(moments.uniform(0, 0.7))
                process.send_signal(number)
                _, said = process.communicate(timeout=DEADLINE)
            before_main = not said or b"KeyboardInterrupt" in said  # Python itself still imports the server
            assert process.returncode == 0 or (before_main and process.returncode in (-number, 1)), said
            assert before_main or b"Traceback" not in said
            until(lambda: processes_in(folder), lambda left: not left, 2)
            assert os.listdir(temporary) == []


@contextlib.contextmanager
def served(folder: Path, stderr: int | None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server whose log cannot be read: without a stderr when it is None."""
    port = free_port()
    shell = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"] if stderr is None else []
    with subprocess.Popen(
        [*shell, *command("--host", "127.0.0.1", "--threads", "1")],
        cwd=folder,
        env=environment({"PORT": str(port)}),
        stderr=stderr,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: ready(url), bool)
            yield process, url
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
    until(lambda: processes_in(folder), lambda left: not left, 2)


def ready(url: str) -> bool:
    try:
        return request(url + "/ready").status == 200
    except OSError:
        return False


def predict(url: str, lines: int) -> object:
    answer = request(url + "/predictions", "POST", json_body={"input": {"lines": lines}}, timeout=10)
    return answer.json()["output"], len(answer.json()["logs"])


def test_without_standard_streams(folder: Path) -> None:
    with served(folder, None) as (process, url):
        assert predict(url, 3) == (3, 300)
        assert [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3


def test_with_a_stderr_whose_reader_has_gone(folder: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        with served(folder, theirs) as (_, url):
            assert predict(url, 3) == (3, 300)
    finally:
        os.close(theirs)


def test_with_a_stderr_that_nobody_reads(folder: Path) -> None:
    ours, theirs = os.pipe()
    try:
        with served(folder, theirs) as (_, url):
            for _ in range(3):
                assert predict(url, 2000) == (2000, 200_000)
            full = os.read(ours, 1_000_000)
            assert predict(url, 1) == (1, 100)
    finally:
        os.close(theirs)
    assert full.startswith(b'{"timestamp"')
    with open(ours, "rb") as rest:
        assert b"messages are missing here" in rest.read()


def test_an_error_at_the_start_without_stderr_is_an_exit_code(folder: Path) -> None:
    (folder / "cog.yaml").write_text("run: [")
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "cog.server.http"],
        cwd=folder,
        env=environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 1
