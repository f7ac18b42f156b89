"""`cog exec` as a person uses it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.projects import COG, Shell, make_patient_package, make_project, variables
from support.serving import DEADLINE, until

CONFIG = "environment: [GREETING=hello, NAME=world]\n"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(variables(tmp_path_factory.mktemp("uv")))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Path:
    """A model whose environment is ready."""
    folder = make_project(tmp_path_factory.mktemp("model"), CONFIG)
    shell.python(folder, "pass")
    return folder


def test_variables_and_the_activated_environment(shell: Shell, project: Path) -> None:
    source = "import os; e = os.environ; print(e['GREETING'], e['NAME'], e['HERE'], e['VIRTUAL_ENV'])"
    printed = shell.python(project, source, "-e", "NAME=you", "-e", "HERE", HERE="set here")
    assert printed.startswith(f"hello you set here {project}/.cog/environments/")


def test_runs_in_the_folder_of_cog_yaml(shell: Shell, project: Path) -> None:
    (project / "below").mkdir(exist_ok=True)
    assert (
        shell.python(project / "below", "import os, run; print(os.getcwd(), run.Runner.__name__)")
        == f"{project} Runner"
    )
    assert shell.python(
        project.parent, "import os; print(os.getcwd())", "-f", str(project / "cog.yaml")
    ) == str(project)


def test_flags_end_at_the_command(shell: Shell, project: Path) -> None:
    done = shell.cog(
        project, "exec", "python", "-c", "import sys; print(sys.argv[1:])", "-e", "A=1", "--help", "-p"
    )
    assert (done.returncode, done.stdout) == (0, "['-e', 'A=1', '--help', '-p']\n")


def test_the_exit_code_is_that_of_the_command(shell: Shell, project: Path) -> None:
    assert shell.cog(project, "exec", "sh", "-c", "exit 7").returncode == 7
    assert shell.cog(project, "exec", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_a_pipe_that_closes_ends_the_command_quietly(shell: Shell, project: Path) -> None:
    done = shell.cog(project, "exec", "sh", "-c", "yes | head -n 1")
    assert (done.stdout, done.stderr) == ("y\n", "")


def test_standard_input(shell: Shell, project: Path) -> None:
    done = subprocess.run(
        [*COG, "exec", "cat"],
        cwd=project,
        env=dict(shell.environ),
        input="given",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout == "given"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-command"], "there is no command no-such-command in the model's environment or on PATH"),
        (["run.py"], "or `python run.py`"),
        (["./no-such-file"], "there is no ./no-such-file in"),
        (["./run.py"], "cannot be executed"),
        (["-e", "1A=2", "true"], "-e 1A=2: write NAME=VALUE"),
        (["--unknown", "true"], "--unknown"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_run(shell: Shell, project: Path, words: list[str], said: str) -> None:
    done = shell.cog(project, "exec", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_whose_interpreter_is_not_here(shell: Shell, project: Path) -> None:
    script = project / "lost.sh"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    done = shell.cog(project, "exec", "./lost.sh")
    assert done.returncode == 1
    assert "the program that its first line names is not here" in done.stderr


def test_flags_of_containers_are_taken_with_a_warning(shell: Shell, project: Path) -> None:
    done = shell.cog(project, "exec", "-p", "8888", "-p", "127.0.0.1:9999", "--gpus", "all", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "-p and --gpus" in done.stderr


def test_what_only_an_image_has_is_named_once(shell: Shell, tmp_path: Path) -> None:
    folder = make_project(tmp_path, "build:\n  system_packages: [ffmpeg]\n  run: [make it]\n")
    done = shell.cog(folder, "exec", "true")
    assert [line for line in done.stderr.splitlines() if "ffmpeg" in line and "make it" in line] != []
    assert done.stderr.count("warning:") == 1
    assert "warning" not in shell.cog(folder, "exec", "--no-env", "true").stderr


def test_without_an_environment(shell: Shell, tmp_path: Path) -> None:
    folder = make_project(tmp_path, CONFIG)
    printed = shell.python(folder, "import sys, os; print(sys.prefix, os.environ['GREETING'])", "--no-env")
    if sys.prefix != sys.base_prefix:
        assert printed == f"{sys.prefix} hello"
    assert not (folder / ".cog").exists()


def test_the_terminal_is_the_commands(shell: Shell, project: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COG, "exec", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && read line && echo got $line"],
            cwd=project,
            env=dict(shell.environ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    os.write(ours, b"typed\n")
    seen = read_terminal(ours)
    assert process.wait(DEADLINE) == 0, seen
    assert "got typed" in seen


def test_a_live_line_while_the_environment_is_made(shell: Shell, tmp_path: Path) -> None:
    own = make_patient_package(tmp_path / "own")
    folder = make_project(tmp_path, requirements="./own\n")
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COG, "exec", "true"],
            cwd=folder,
            env={**shell.environ, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stderr=theirs,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(read_terminal(ours, seen)))
    reader.start()
    until(lambda: "".join(seen), lambda text: "Making the environment: Building patient" in text)
    (own / "go").touch()
    assert process.wait(DEADLINE) == 0
    reader.join(DEADLINE)
    last = "".join(seen).rsplit("\x1b[2K", 1)[1]
    assert "Environment ready in" in last


def read_terminal(descriptor: int, parts: list[str] | None = None) -> str:
    """Everything until the other side is closed, which a terminal tells as an error."""
    whole = ""
    try:
        while data := os.read(descriptor, 65536):
            whole += data.decode(errors="replace")
            if parts is not None:
                parts.append(data.decode(errors="replace"))
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return "" if parts is not None else whole
