"""`cog` itself: help, names that there are not, flags for all commands, colour, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cog.cli.main import ENTRIES, LATER, SECTIONS
from cog.version import __version__
from support.serving import DEADLINE, write_model
from support.typed import called, surroundings, typed

RED = "\x1b[31m"
MODEL = """
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, text: str) -> str:
        return text
"""


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands_in_groups(words: tuple[str, ...], tmp_path: Path) -> None:
    done = typed(*words, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: cog ")
    places = [done.out.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    for entry in ENTRIES.values():
        assert (f"\n  {entry.name} " in done.out) is not entry.hidden, entry.name
        assert (entry.help in done.out) is not entry.hidden


def test_every_listed_module_is_a_command_with_help(tmp_path: Path) -> None:
    for entry in ENTRIES.values():
        done = called(entry.name, "--help", folder=tmp_path)
        assert (done.code, done.err) == (0, ""), done
        assert done.out.startswith(f"Usage: cog {entry.name} ")


def test_version(tmp_path: Path) -> None:
    done = typed("--version", folder=tmp_path)
    assert (done.code, done.out, done.err) == (0, f"cog version {__version__}\n", "")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("rnu", "run"), ("Serve", "serve"), ("doktor", "doctor"), ("completions", "completion")],
)
def test_the_nearest_command_is_named(name: str, nearest: str, tmp_path: Path) -> None:
    done = called(name, folder=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"error: No such command '{name}'. Did you mean {nearest}? See `cog --help`.\n"


def test_a_name_that_is_near_to_none_lists_them(tmp_path: Path) -> None:
    done = called("xyzzy", folder=tmp_path)
    assert done.code == 1
    assert "There are init, run, serve, bench, exec, build, push, login, doctor, completion." in done.err


@pytest.mark.parametrize(("name", "meant"), [*zip(LATER, LATER, strict=True), ("playgrond", "playground")])
def test_commands_of_later_are_told_not_to_be_there_yet(name: str, meant: str, tmp_path: Path) -> None:
    done = called(name, "me/model", folder=tmp_path)
    assert done.code == 1
    assert f"There is no `cog {meant}` yet" in done.err


@pytest.mark.parametrize(
    "words", [("--nonsense",), ("init", "--nonsense"), ("init", "--template", "nonsense")]
)
def test_wrong_flags_are_errors_of_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    done = called(*words, folder=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert "nonsense" in done.err
    assert "--help`" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("init", "a", "b"), ("doctor", "x"), ("--nonsense",), ("init", "--templat", "x")]
)
def test_the_advice_is_a_sentence_of_its_own(words: tuple[str, ...], tmp_path: Path) -> None:
    assert re.search(r"[.?]\)? See `cog.* --help`\.$", called(*words, folder=tmp_path).err.strip())


def test_a_flag_that_is_nearly_right_is_named(tmp_path: Path) -> None:
    done = called("init", "--templat", "plain", folder=tmp_path)
    assert done.code == 1
    assert "--template" in done.err


def test_an_error_is_a_text_never_a_traceback(tmp_path: Path) -> None:
    done = typed("doctor", folder=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "There is no cog.yaml in" in done.err
    assert "cog init" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [("--debug", "doctor"), ("doctor", "--debug")])
def test_debug_shows_where_before_and_behind_the_command(words: tuple[str, ...], tmp_path: Path) -> None:
    done = called(*words, folder=tmp_path)
    assert done.code == 1
    assert "Traceback (most recent call last):" in done.err
    assert "ConfigDoesNotExist" in done.err


@pytest.mark.parametrize(
    "words", [("--profile", "init", "--list"), ("--registry", "r8.im", "init", "--list")]
)
def test_old_flags_for_all_commands_are_taken(words: tuple[str, ...], tmp_path: Path) -> None:
    assert called(*words, folder=tmp_path).code == 0


@pytest.mark.parametrize("words", [("doctor",), ("debug",), ("run", "--help")])
def test_a_folder_in_the_place_of_the_file_is_told(words: tuple[str, ...], tmp_path: Path) -> None:
    done = called(*words, "-f", ".", folder=tmp_path)
    assert "is a folder. Name the file in it:" in " ".join((done.err + done.out).split())
    assert done.code == (0 if "--help" in words else 1)


def test_help_may_stand_before_the_file(tmp_path: Path) -> None:
    write_model(tmp_path, MODEL)
    (tmp_path / "other.yaml").write_text("run: other.py:Runner\n")
    (tmp_path / "other.py").write_text(MODEL.replace("text: str", "sound: str"))
    for words in (("run", "--help", "-f", "other.yaml"), ("run", "-f", "other.yaml", "--help")):
        assert "  sound=TEXT" in called(*words, folder=tmp_path).out


def test_a_terminal_gets_colour(tmp_path: Path) -> None:
    done = typed("rnu", folder=tmp_path, terminal=True)
    assert done.code == 1
    assert done.err.startswith(f"{RED}✘")


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (("--no-color", "doctor"), {}),
        (("doctor", "--no-color"), {}),
        (("doctor",), {"NO_COLOR": "1"}),
        (("doctor",), {"COG_NO_COLOR": "1"}),
        (("doctor",), {"TERM": "dumb"}),
    ],
)
def test_a_terminal_that_wants_none_gets_plain_text(
    words: tuple[str, ...], env: dict[str, str], tmp_path: Path
) -> None:
    done = typed(*words, folder=tmp_path, env=env, terminal=True)
    assert done.code == 1
    assert done.err.startswith("error: There is no cog.yaml")
    assert "\x1b" not in done.err


def test_a_reader_that_has_left_is_no_defect(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cog.cli.main", "--help"],
        cwd=tmp_path,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        written = process.stderr.read()
        process.wait(DEADLINE)
    assert "Traceback" not in written
    assert "cog itself failed" not in written


@pytest.mark.parametrize("redirected", [">&- 2>&-", "2>&-", "2>/dev/full", "2> >(true)"])
def test_who_cannot_be_told_anything_still_gets_what_was_asked_for(redirected: str, tmp_path: Path) -> None:
    done = in_bash(f"init here {redirected}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "requirements.txt").is_file()  # the last one


def test_a_result_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    for words in ("init --list", "--help"):
        done = in_bash(f"{words} > /dev/full", tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(
            "error: The result cannot be written to stdout: No space left on device."
        )
        assert "cog itself failed" not in done.stderr


def test_a_folder_that_was_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = in_bash("doctor", tmp_path, before="cd gone && rmdir ../gone")
    assert done.returncode == 1
    assert done.stderr.startswith("error: The folder that you are in was removed.")


def in_bash(words: str, folder: Path, before: str = ":") -> subprocess.CompletedProcess[str]:
    """`cog WORDS` as bash makes it of them."""
    return subprocess.run(
        ["bash", "-c", f"{before} && {sys.executable} -m cog.cli.main {words}"],
        cwd=folder,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
