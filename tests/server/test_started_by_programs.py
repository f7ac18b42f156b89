"""A program that starts the server hands it a socket, and a pipe that says how long it lives."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import command, environment
from support.command import run as run_command
from support.serving import DEADLINE, request, until

MODEL = """
import os
import time
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, seconds: float = 0) -> int:
        time.sleep(seconds)
        return os.getpid()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cog.yaml").write_text('run: "run.py:Runner"\n')
    (tmp_path / "run.py").write_text(textwrap.dedent(MODEL))
    return tmp_path


@contextlib.contextmanager
def started(folder: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[bytes], int]]:
    """A server on a socket and with an owner: its URL, its process, our end of the pipe."""
    theirs, ours = os.pipe()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        flags = ("--fd", str(listening.fileno()), "--owner-fd", str(theirs), *more)
        process = subprocess.Popen(
            command(*flags),
            cwd=folder,
            env=environment({"TMPDIR": str(folder)}),
            pass_fds=(listening.fileno(), theirs),
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    os.close(theirs)
    try:
        yield url, process, ours
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(ours)


class ToFile(http.client.HTTPConnection):
    """HTTP over a socket that has a name in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(self.path))


def test_the_socket_may_be_one_of_a_folder(folder: Path) -> None:
    log = folder / "log"
    with socket.socket(socket.AF_UNIX) as listening, log.open("wb") as err:
        listening.bind(str(folder / "s"))
        listening.listen()
        process = subprocess.Popen(
            command("--fd", str(listening.fileno())),
            cwd=folder,
            env=environment(),
            pass_fds=(listening.fileno(),),
            stderr=err,
        )
    try:
        with contextlib.closing(ToFile(folder / "s")) as connection:
            for number in range(2):  # the second on the same connection
                connection.request("GET", "/health-check")
                assert b"status" in connection.getresponse().read(), number
            # It gives its own address where the client names none that is one.
            connection.request("GET", "/v1/models/a/b", headers={"Host": "?"})
            assert connection.getresponse().status in (200, 503)
        until(lambda: log.read_text(), lambda text: f"listening on unix:{folder / 's'}" in text)
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


def predict(url: str, **input: float) -> int:
    answer = until(
        lambda: request(f"{url}/predictions", "POST", json_body={"input": input}), lambda it: it.status != 503
    )
    return int(answer.json()["output"])


def test_a_client_may_connect_before_the_server_is_there(folder: Path) -> None:
    with started(folder) as (url, process, _):
        assert request(f"{url}/health-check").status == 200
        assert predict(url) != process.pid


def test_it_ends_at_once_with_its_owner_also_while_the_model_computes(folder: Path) -> None:
    with started(folder) as (url, process, ours):
        worker = predict(url)
        body = {"input": {"seconds": 60}}
        request(f"{url}/predictions", "POST", json_body=body, headers={"prefer": "respond-async"})
        os.close(ours)
        assert process.wait(10) == 129
        until(lambda: os.path.exists(f"/proc/{worker}"), lambda there: not there)


def test_with_hold_the_model_is_loaded_when_the_owner_says_so(folder: Path) -> None:
    source = (folder / "run.py").read_text()
    (folder / "run.py").write_text(f"open('loaded', 'w').close()\n{source}")
    with started(folder, "--hold") as (url, _, ours):
        pid = until(lambda: workers_in(folder), lambda found: found)[0]  # its Python has started, and waits
        assert not (folder / "loaded").exists()
        os.write(ours, b"go")
        assert predict(url) == pid
        assert (folder / "loaded").exists()


def test_an_owner_who_leaves_before_the_model_was_loaded_is_followed(folder: Path) -> None:
    with started(folder, "--hold") as (_, process, ours):
        until(lambda: workers_in(folder), lambda found: found)
        os.close(ours)
        assert process.wait(10) == 129
        until(lambda: workers_in(folder), lambda found: not found)
        assert not list(folder.glob("cog-*"))


@pytest.mark.parametrize("orders", [b"", b'{"arguments": [], "envir'])
def test_a_program_that_ends_before_it_has_given_its_orders(folder: Path, orders: bytes) -> None:
    ended = subprocess.run(
        command("--orders"),
        cwd=folder,
        env=environment(),
        input=orders,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (129, b"")


def workers_in(folder: Path) -> list[int]:
    """The workers that run in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                path.joinpath("cwd").readlink() == folder
                and b"--control" in path.joinpath("cmdline").read_bytes()
            ):
                found.append(int(path.name))
    return found


@pytest.mark.parametrize(
    ("flag", "why"),
    [("--fd", "--fd 77 is no open socket"), ("--owner-fd", "--owner-fd 77 is not open")],
)
def test_a_descriptor_that_is_not_there_is_told(folder: Path, flag: str, why: str) -> None:
    result = run_command(folder, flag, "77")
    assert result.returncode == 1
    assert why in result.stderr


def test_other_descriptors_are_refused(folder: Path) -> None:
    with socket.socket() as deaf, (folder / "cog.yaml").open() as file:
        for flags, why in (
            (("--fd", str(deaf.fileno())), "does not listen"),
            (("--owner-fd", str(file.fileno())), "neither a pipe nor a socket"),
        ):
            result = subprocess.run(
                command(*flags),
                cwd=folder,
                env=environment(),
                pass_fds=(int(flags[1]),),
                capture_output=True,
                timeout=30,
                check=False,
            )
            assert (result.returncode, why in result.stderr.decode()) == (1, True), result.stderr
