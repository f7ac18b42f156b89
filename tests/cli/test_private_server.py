"""The server of `cog run` is for that command alone: nobody else on the machine can reach it, or what it is handed."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from support.cogs import COG, Cog, cog, marked, started, surroundings
from support.serving import DEADLINE, write_model

MODEL = """
import os, sys, time
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, file: Path = None) -> str:
        print("at", os.path.abspath(str(file)) if file else "nothing", flush=True)
        while "go" not in os.listdir(".") and os.environ.get("HOLD"):
            time.sleep(0.01)
        return "done"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_model(tmp_path_factory.mktemp("private") / "model", MODEL)
    (folder / "in.txt").write_text("secret")
    return folder


def listening_ports(command: Cog) -> set[str]:
    """The ports on which the command, or what it has started, takes connections over the network."""
    own = set()
    for pid in marked(command.mark):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                own.add(os.readlink(link))
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                found.add(words[1])
    return found


def places(temporary: Path) -> list[Path]:
    return sorted(temporary.glob("cog-*"))


def test_nobody_else_can_reach_it_and_a_killed_command_is_cleared_away(folder: Path, tmp_path: Path) -> None:
    surrounding = {"TMPDIR": str(tmp_path), "HOLD": "1"}
    with started(folder, "run", "--no-env", "-i", "file=@in.txt", env=surrounding) as command:
        command.wait_written(f"at {tmp_path}")
        assert listening_ports(command) == set()
        found = places(tmp_path)
        assert found
        assert {stat.S_IMODE(place.stat().st_mode) for place in found} == {0o700}
        sockets = [path for place in found for path in place.rglob("*") if path.is_socket()]
        assert sockets
        command.signal(signal.SIGKILL)
        command.wait()
    left = places(tmp_path)
    result = cog(folder, "run", "--no-env", env={"TMPDIR": str(tmp_path)})
    assert (result.returncode, result.stdout) == (0, "done"), result.stderr
    assert (len(left) <= 1, places(tmp_path)) == (True, [])
    assert (folder / "in.txt").read_text() == "secret"


def test_a_folder_whose_name_is_too_long_for_a_socket(folder: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    result = cog(folder, "run", "--no-env", "-i", "file=@in.txt", env={"TMPDIR": str(deep)})
    assert (result.returncode, result.stdout) == (0, "done"), result.stderr
    assert places(deep) == []


def test_streams_that_are_closed(folder: Path) -> None:
    """What the command opens must not get their numbers."""
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *COG, "run", "--no-env", "-i", "file=@in.txt"],
        cwd=folder,
        env=surroundings(),
        stderr=subprocess.PIPE,
        timeout=DEADLINE,
        check=False,
    )
    assert (ended.returncode, ended.stderr[:2]) == (0, b"at"), ended.stderr


def test_a_server_that_is_killed(folder: Path) -> None:
    with started(folder, "run", "--no-env", env={"HOLD": "1"}) as command:
        command.wait_written("at nothing")
        (server,) = (pid for pid, line in marked(command.mark).items() if "--orders" in line)
        os.kill(server, signal.SIGKILL)
        assert command.wait() == 1
    told = bytes(command.err).decode()
    assert (
        "error: The server of the model was killed by SIGKILL. Usually the system ran out of memory" in told
    )


def test_a_folder_that_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    result = cog(folder, "run", "--no-env", env={"TMPDIR": str(tmp_path / "gone")})
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{tmp_path / 'gone'}, the folder for temporary files, cannot be used" in result.stderr
    assert "ended unexpectedly" not in result.stderr
