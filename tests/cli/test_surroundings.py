"""Which configuration a command reads, whichever way its flags are spelled, and that it asks nobody on the network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.cogs import cog
from support.serving import DEADLINE, write_model
from support.typed import called, surroundings

MODEL = """
import os
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, name: str) -> str:
        return os.environ[name]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose cog.yaml is of no use, and another configuration below it."""
    (tmp_path / "cog.yaml").write_text("this: is: no: yaml\n")
    below = write_model(tmp_path / "model", MODEL, "")
    (below / "other.yaml").write_text('run: "run.py:Runner"\n')
    return tmp_path


def test_flags_of_run_in_full(folder: Path) -> None:
    flags = ("--file", "model/other.yaml", "--input", "name=GIVEN", "--env", "GIVEN=a b", "--output", "out")
    done = cog(folder, "run", "--no-env", *flags)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (folder / "out").read_text() == "a b"


@pytest.mark.parametrize("flag", ["-f", "--file"])
def test_debug_reads_the_file_that_is_named(folder: Path, flag: str) -> None:
    done = called("debug", "--json", flag, "model/other.yaml", folder=folder)
    assert done.code == 0, done.err
    assert json.loads(done.out)["configuration"] == str(folder / "model" / "other.yaml")


# What a command does on the network is heard by an audit hook, and ends it.
LISTENING = """
import json, sys

def hear(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise SystemExit(f"asks the network: {event} {arguments}")

sys.addaudithook(hear)
from cog.cli.main import main
print([main(words) for words in json.loads(sys.argv[1])], file=sys.stderr)
if sys.argv[2:]:
    import socket
    socket.create_connection(("192.0.2.1", 80), 1)
"""


def test_nobody_is_asked_for_updates(folder: Path) -> None:
    commands = [
        ["--version"],
        ["init", "new"],
        ["doctor", "-f", "model/other.yaml"],
        ["debug", "-f", "model/other.yaml"],
        ["completion", "bash"],
    ]
    done = heard(folder, json.dumps(commands))
    assert done.stderr.endswith(f"{[0] * len(commands)}\n")
    assert done.returncode == 0, done.stderr
    assert "asks the network" in heard(folder, "[]", "self-test").stderr


def heard(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LISTENING, *words],
        cwd=folder,
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
