"""`cog run` that is interrupted, killed, or no longer listened to; and what it shows on a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.cogs import COG, cog, marked, started, surroundings
from support.serving import until, write_model

MODEL = """
import os, subprocess, sys, time
from cog import BaseRunner, CancelationException, ConcatenateIterator


class Runner(BaseRunner):
    def setup(self) -> None:
        print("setup begins")
        subprocess.Popen(["sleep", "300"])
        while os.environ.get("SLOW_SETUP") and not os.path.exists("go"):
            time.sleep(0.01)

    def run(self, n: int = 1000000, deaf: bool = False) -> ConcatenateIterator[str]:
        for number in range(n):
            try:
                if number == 0:
                    print("run begins")
                yield f"word{number}\\n"
                time.sleep(0.01)
            except CancelationException:
                print("cleaned up")
                if not deaf:
                    raise
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODEL)


def ends_without_a_trace(folder: Path, code: int, *signals: signal.Signals, **how: str) -> tuple[str, str]:
    """Send the signals once the text `after` is written, one after the other; gives what was written."""
    after, then = how.pop("after", "run begins"), how.pop("then", "")
    with started(folder, "run", "--no-env", "-i", f"deaf={how.pop('deaf', 'false')}", env=how) as command:
        command.wait_written(after)
        for number in signals:
            command.signal(number)
            if then:
                command.wait_written(then)
        assert command.wait() == code, bytes(command.err).decode()
    return bytes(command.out).decode(), bytes(command.err).decode()


def test_ctrl_c_cancels_and_the_model_cleans_up(folder: Path) -> None:
    out, err = ends_without_a_trace(folder, 130, signal.SIGINT)
    assert "Traceback" not in err
    assert "cleaned up\n" in err
    assert err.endswith("Canceled\n")
    assert re.fullmatch(r"(word\d+\n)*", out)


def test_sigterm_does_the_same_with_its_own_code(folder: Path) -> None:
    _, err = ends_without_a_trace(folder, 143, signal.SIGTERM)
    assert "cleaned up\n" in err


def test_a_second_ctrl_c_ends_at_once(folder: Path) -> None:
    """The model does not listen: without the second one it would have ten seconds."""
    _, err = ends_without_a_trace(folder, 130, signal.SIGINT, signal.SIGINT, then="cleaned up", deaf="true")
    assert "Traceback" not in err


def test_ctrl_c_during_setup(folder: Path) -> None:
    out, err = ends_without_a_trace(folder, 130, signal.SIGINT, after="setup begins", SLOW_SETUP="1")
    assert (out, err) == ("", "setup begins\nCanceled\n")


def test_a_command_that_is_killed_leaves_nothing_behind(folder: Path) -> None:
    with started(folder, "run", "--no-env") as command:
        command.wait_written("run begins")
        assert any("sleep 300" in line for line in command.descendants())
        command.signal(signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL
        until(lambda: marked(command.mark), lambda found: not found, timeout=5)


def test_a_reader_who_has_seen_enough_ends_it(folder: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COG, "run", "--no-env"], cwd=folder, env=surroundings(), stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    with os.fdopen(reading) as out:
        assert out.readline() == "word0\n"
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"Traceback" not in err
    assert b"cleaned up\n" in err


def test_on_a_terminal_there_is_a_live_line_and_the_time_it_took(folder: Path) -> None:
    surrounding = {"TERM": "xterm", "SLOW_SETUP": "1"}
    with started(folder, "run", "--no-env", "-i", "n=30", env=surrounding, terminal=True) as command:
        command.wait_written("Setting up", on="out")
        (folder / "go").touch()
        command.wait_written("word29", on="out")
        assert command.wait() == 0
    written = bytes(command.out).decode()
    plain = re.sub(r"\r?\x1b\[[0-9;]*[a-zA-Z]", "", written).replace("\r\n", "\n")
    assert re.search(r"setup \d+\.\d s, prediction \d+\.\d s\n$", plain)
    assert re.search(r"Setting up \d+\.\d s", plain)
    assert [word for word in (f"word{number}\n" for number in range(30)) if word not in plain] == []


def test_on_a_terminal_the_last_message_has_a_line_of_its_own(folder: Path) -> None:
    """The model's text has not ended its line."""
    source = MODEL.replace("word{number}\\n", "word{number} ").replace('print("cleaned up")', "pass")
    write_model(folder, source)
    with started(folder, "run", "--no-env", env={"TERM": "xterm"}, terminal=True) as command:
        command.wait_written("word3 ", on="out")
        command.signal(signal.SIGINT)
        assert command.wait() == 130
    plain = re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", bytes(command.out).decode())
    assert re.search(r"word\d+ [\r\n]*\r\nCanceled\r\n$", plain), plain


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_a_plain_terminal_stays_plain(folder: Path, variable: str) -> None:
    with started(
        folder, "run", "--no-env", "-i", "n=2", env={"TERM": "xterm", variable: "dumb"}, terminal=True
    ) as command:
        assert command.wait() == 0
    assert bytes(command.out) == b"setup begins\r\nrun begins\r\nword0\r\nword1\r\n"


def test_text_without_an_end_gets_one_on_a_terminal_only(tmp_path: Path) -> None:
    write_model(
        tmp_path,
        "from cog import BaseRunner\nclass Runner(BaseRunner):\n    def run(self) -> str:\n        return 'x'\n",
    )
    assert cog(tmp_path, "run", "--no-env").stdout == "x"
    with started(tmp_path, "run", "--no-env", env={"NO_COLOR": "1"}, terminal=True) as command:
        assert command.wait() == 0
    assert bytes(command.out) == b"x\r\n"
