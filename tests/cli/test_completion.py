"""`cog completion`: real shells, with a person's keys, complete a line and run it."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cog.cli import shells
from cog.cli.main import cog
from support.serving import until, write_model
from support.typed import called, surroundings, typed

MODEL = """
from cog import BaseRunner, Input, Path

class Runner(BaseRunner):
    def run(
        self,
        prompt: str = Input(description="What to say: it goes first"),
        mode: str = Input(choices=["fast", "slow"], default="fast"),
        image: Path = Input(description="A picture", default=None),
    ) -> str:
        return prompt
"""
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
# Makes the terminal that it stands on the one of its session, without which fish refuses to read from it.
OWN_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
# Looked for where a machine has them; a shell that is not there is passed over.
HERE = [
    pytest.param(
        name,
        marks=[
            pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} on this machine"),
            *([pytest.mark.slow] if name != "bash" else []),
        ],
    )
    for name in SHELLS
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A model's folder with some files, and a `cog` on PATH that writes down what it was called with."""
    folder = write_model(tmp_path / "model", MODEL)
    (folder / "photo.jpg").write_text("")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "deep.png").write_text("")
    cog = tmp_path / "bin" / "cog"
    cog.parent.mkdir()
    cog.write_text(
        f"""#!/bin/sh
if [ -n "$_COG_COMPLETE" ] || [ "$1" = completion ]; then exec '{sys.executable}' -m cog.cli.main "$@"; fi
for word in "$@"; do echo "<$word>"; done > '{tmp_path}/called.part'
mv '{tmp_path}/called.part' '{tmp_path}/called'
"""
    )
    cog.chmod(0o755)
    return folder


@contextmanager
def shell(name: str, project: Path) -> Iterator[int]:
    """A shell on a terminal, its completion set up; gives the descriptor of our end."""
    ours, theirs = pty.openpty()
    env = surroundings(
        {
            "PATH": f"{project.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(project.parent),
            "TERM": "xterm",
        }
    )
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *SHELLS[name]],
        cwd=project,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)

    def drain() -> None:
        with suppress(OSError):  # the end of a terminal is an error
            while os.read(ours, 65536):
                pass

    reader = threading.Thread(target=drain)
    reader.start()
    setup = "cog completion fish | source" if name == "fish" else f'eval "$(cog completion {name})"'
    os.write(ours, f"{setup}; touch '{project.parent}/ready'\n".encode())
    try:
        until((project.parent / "ready").exists, bool)
        yield ours
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        os.close(ours)


def completed(name: str, project: Path, *lines: str) -> list[list[str]]:
    """What cog was called with, for each line that was typed: a tab in it is the key."""
    found = []
    called = project.parent / "called"
    with shell(name, project) as terminal:
        for line in lines:
            os.write(terminal, f"{line}\n".encode())
            until(called.exists, bool)
            found.append([word[1:-1] for word in called.read_text().splitlines()])
            called.unlink()
    return found


@pytest.mark.parametrize("name", HERE)
def test_commands_flags_and_templates(name: str, project: Path) -> None:
    assert completed(name, project, "cog doc\t", "cog init --templ\tim\t", "cog init --li\t") == [
        ["doctor"],
        ["init", "--template", "image"],
        ["init", "--list"],
    ]


@pytest.mark.parametrize("name", HERE)
def test_inputs_of_the_model_their_choices_and_files(name: str, project: Path) -> None:
    assert completed(
        name,
        project,
        "cog run -i pro\thello",
        "cog run -i mode=s\t",
        "cog run -i image=@pho\t",
        "cog run -i image=@pict\tde\t-i mo\tf\t",
    ) == [
        ["run", "-i", "prompt=hello"],
        ["run", "-i", "mode=slow"],
        ["run", "-i", "image=@photo.jpg"],
        ["run", "-i", "image=@pictures/deep.png", "-i", "mode=fast"],
    ]


Ask = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """What a script is told for a line in a folder: exit code, rows, messages."""

    def ask(line: str, folder: Path, shell: str = "zsh") -> tuple[int, list[str], str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COMP_WORDS", line)
        code = shells.answer(cog, f"{shell}_complete")
        told = capfd.readouterr()
        return code, told.out.splitlines(), told.err

    return ask


def test_what_the_scripts_are_told(project: Path, ask: Ask) -> None:
    code, rows, said = ask("cog run -i ", project)
    assert (code, said) == (0, "")
    assert [row.split("\t")[0] for row in rows] == ["prompt=", "mode=", "image="]
    assert "What to say: it goes first" in rows[0]
    assert ask("cog run -i m", project, "bash") == (0, ["mode="], "")
    assert ask("cog ini", project, "fish") == (0, ["init\tWrite a new model into this folder"], "")
    assert ask("cog run -i image=@./pic", project, "bash") == (0, ["image=@./pictures/"], "")
    assert ask("cog predict -i pr", project, "bash") == (0, ["prompt="], "")
    assert ask("cog run -i pr", project / "pictures", "bash") == (0, ["prompt="], "")
    assert ask("cog run -f model/cog.yaml -i pr", project.parent, "bash") == (0, ["prompt="], "")
    (project / os.fsdecode(b"odd\xff")).write_text("")
    assert ask("cog run -i image=@odd", project, "bash")[0] == 0


@pytest.mark.parametrize(
    ("config", "source"),
    [
        ("run: [", ""),
        ("run: run.py:Runner", "def ("),
        ("run: nowhere.py:Runner", ""),
        ("", ""),
        ("run: 3", ""),
    ],
)
def test_nothing_is_said_where_the_model_cannot_be_read(
    config: str, source: str, tmp_path: Path, ask: Ask
) -> None:
    write_model(tmp_path, source, config)
    for line in ("cog run -i ", 'cog run -i "', "cog run -f nowhere.yaml -i ", "cog doctor --bad "):
        _, rows, said = ask(line, tmp_path)
        assert (rows, said) in (([], ""), ([""], "")), line


def test_the_command_itself_answers(project: Path) -> None:
    env = {"_COG_COMPLETE": "zsh_complete", "COMP_WORDS": "cog run -i mode="}
    assert typed(folder=project, env=env).out.split() == ["mode=fast", "mode=slow"]
    assert called(folder=project, env={**env, "_COG_COMPLETE": "tcsh_complete"}).out == ""


def test_a_training_function_has_inputs_of_its_own(project: Path) -> None:
    (project / "train.py").write_text("def train(steps: int, rate: float = 0.1) -> str: ...\n")
    with (project / "cog.yaml").open("a") as config:
        config.write("\ntrain: train.py:train\n")
    env = {"_COG_COMPLETE": "bash_complete", "COMP_WORDS": "cog train -i "}
    assert called(folder=project, env=env).out.split() == ["steps=", "rate="]


def test_an_unknown_shell_is_told(tmp_path: Path) -> None:
    done = called("completion", "tcsh", folder=tmp_path)
    assert done.code == 1
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.err
    assert called("completion", folder=tmp_path).code == 1
    assert called("completion", folder=tmp_path, env={"SHELL": "/bin/zsh"}).out.startswith("#compdef cog")
