"""Environments as commands make them: by the real uv, out of packages that the tests make themselves."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cog.config.parse import load
from cog.environment import interpreters
from cog.environment.make import existing, prepare
from cog.errors import EnvironmentFailed
from support.projects import Shell, make_patient_package, make_project, make_wheel
from support.serving import until

# With this no call of uv succeeds.
NO_UV = {"UV_CACHE_DIR": "/dev/null/none"}


def places(folder: Path) -> list[Path]:
    """The environments of a model."""
    return sorted(each for each in (folder / ".cog" / "environments").iterdir() if each.is_dir())


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A model that needs the package `tiny`."""
    make_wheel(tmp_path / "model" / "wheels", "tiny")
    return make_project(tmp_path / "model", requirements="./wheels/tiny-1.0-py3-none-any.whl\n")


def test_made_once_and_then_used_as_it_is(shell: Shell, project: Path) -> None:
    first = shell.cog(
        project, "exec", "python", "-c", "import tiny, cog; print(cog.__file__); cog.BaseRunner"
    )
    assert first.returncode == 0, first.stderr
    assert "Environment ready in" in first.stderr
    (place,) = places(project)
    assert first.stdout.startswith(str(place))
    assert (project / ".cog" / ".gitignore").read_text() == "*\n"
    made = (place / "pyvenv.cfg").stat()

    again = shell.cog(project, "exec", "python", "-c", "import tiny", **NO_UV)
    assert (again.returncode, again.stderr) == (0, "")
    assert places(project) == [place]
    assert (place / "pyvenv.cfg").stat().st_ino == made.st_ino


def test_holds_the_sdk_and_not_the_server(shell: Shell, project: Path) -> None:
    source = "import importlib.util as u; print([u.find_spec(n) is None for n in ('cog.sdk', 'cog.server', 'aiohttp', 'click')])"
    assert shell.python(project, source) == "[False, True, True, True]"


def test_without_requirements_nothing_is_installed(shell: Shell, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    installed = "from importlib.metadata import distributions as d; print([each.name for each in d()])"
    assert shell.python(folder, installed) == "[]"


def test_a_folder_of_an_odd_name(shell: Shell, tmp_path: Path) -> None:
    make_wheel(tmp_path / "shop", "tiny")
    folder = make_project(tmp_path / "-p it's ünï", 'build:\n  python_packages: ["tiny"]\n')
    told = {"UV_FIND_LINKS": str(tmp_path / "shop")}
    assert shell.python(folder, "import tiny; print(tiny.VERSION)", **told) == "1.0"
    done = shell.cog(make_project(tmp_path / os.fsdecode(b"bad\xff")), "exec", "true")
    assert "not valid UTF-8" in done.stderr
    assert "Usage" not in done.stderr


def test_another_requirement_makes_another_environment(shell: Shell, project: Path) -> None:
    shell.python(project, "import tiny")
    make_wheel(project / "wheels", "tiny", "2.0")
    (project / "requirements.txt").write_text("./wheels/tiny-2.0-py3-none-any.whl\n")
    assert shell.python(project, "import tiny; print(tiny.VERSION)") == "2.0"
    assert len(places(project)) == 2
    (project / "requirements.txt").write_text("./wheels/tiny-1.0-py3-none-any.whl\n")
    assert shell.python(project, "import tiny; print(tiny.VERSION)", **NO_UV) == "1.0"


def test_a_package_of_the_project_is_made_anew_when_its_source_changed(shell: Shell, tmp_path: Path) -> None:
    make_patient_package(tmp_path / "own", 1).joinpath("go").touch()
    folder = make_project(tmp_path, requirements="./own\n")
    assert shell.python(folder, "import patient; print(patient.VALUE)") == "1"
    (tmp_path / "own" / "content.py").write_text("VALUE = 22\n")
    assert shell.python(folder, "import patient; print(patient.VALUE)") == "22"


def test_packages_of_cog_yaml_and_settings_of_pip(shell: Shell, tmp_path: Path) -> None:
    make_wheel(tmp_path / "shop", "tiny", "3.0")
    folder = make_project(tmp_path / "model", 'build:\n  python_packages: ["tiny>=2"]\n')
    links = f"/no/such/folder {tmp_path / 'shop'}"
    assert shell.python(folder, "import tiny; print(tiny.VERSION)", PIP_FIND_LINKS=links) == "3.0"


@pytest.mark.parametrize(
    "line",
    ["cog[x] >= 0.5", "./wheels/cog-0.9-py3-none-any.whl", "cog @ https://example.invalid/cog-0.9.tar.gz"],
)
def test_a_requirement_of_our_own_name_is_dropped(shell: Shell, project: Path, line: str) -> None:
    make_wheel(project / "wheels", "cog", "0.9", source="raise SystemExit('somebody else')")
    with (project / "requirements.txt").open("a") as file:
        file.write(f"{line}\n")
    done = shell.cog(project, "exec", "python", "-c", "import tiny, cog; cog.BaseRunner")
    assert done.returncode == 0, done.stderr
    assert f"the requirement {line!r} is dropped" in done.stderr


def test_so_is_a_dependency_of_our_own_name(shell: Shell, project: Path) -> None:
    make_wheel(project / "wheels", "cog", "0.9", source="raise SystemExit('somebody else')")
    make_wheel(project / "wheels", "needy", requires=["cog>=0.5", "coglet", "tiny"])
    (project / "requirements.txt").write_text("--find-links wheels\nneedy\n")
    assert shell.python(project, "import cog, needy, tiny; print(cog.BaseRunner.__name__)") == "BaseRunner"


def test_the_message_of_the_resolver(shell: Shell, project: Path) -> None:
    (project / "requirements.txt").write_text("--find-links wheels\ntiny>=7\n")
    done = shell.cog(project, "exec", "true")
    assert done.returncode == 1
    assert "error: The packages that requirements.txt names cannot be installed" in done.stderr
    assert "tiny>=7" in done.stderr.split("What uv says:")[1]
    assert done.stderr.count("tiny>=7") == done.stderr.split("What uv says:")[1].count(
        "tiny>=7"
    )  # not as progress too
    assert "\x1b" not in done.stderr
    assert places(project) == []


def test_a_python_that_there_is_not(shell: Shell, tmp_path: Path) -> None:
    folder = make_project(tmp_path, 'build:\n  python_version: "3.99"\n')
    done = shell.cog(folder, "exec", "true")
    assert done.returncode == 1
    for text in (
        "no Python 3.99 on this machine",
        "uv python install 3.99",
        "pyenv install 3.99",
        "build.python_version",
    ):
        assert text in done.stderr
    assert "switched off" in shell.cog(folder, "exec", "true", UV_PYTHON_DOWNLOADS="never").stderr


def test_another_python_than_the_one_of_cog(shell: Shell, tmp_path: Path) -> None:
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    other = next(
        (each for each in ("3.10", "3.11", "3.12", "3.13") if each != ours and interpreters.find(each)), None
    )
    if other is None:
        pytest.skip("there is no second Python on this machine")
    folder = make_project(tmp_path, f'build:\n  python_version: "{other}"\n')
    assert (
        shell.python(folder, "import sys, cog; cog.BaseRunner; print('%d.%d' % sys.version_info[:2])")
        == other
    )


def test_a_folder_that_was_moved(shell: Shell, project: Path, tmp_path: Path) -> None:
    shell.python(project, "import tiny")
    moved = Path(shutil.move(project, tmp_path / "moved"))
    assert shell.python(moved, "import sys, tiny; print(sys.prefix)").startswith(str(moved))


def test_a_python_that_is_gone(shell: Shell, project: Path) -> None:
    shell.python(project, "import tiny")
    (place,) = places(project)
    (place / "bin" / "python").unlink()
    (place / "bin" / "python").symlink_to("/no/such/python")
    assert shell.python(project, "import tiny; print(tiny.VERSION)") == "1.0"


def test_the_sdk_of_another_cog_is_replaced_without_uv(shell: Shell, project: Path) -> None:
    shell.python(project, "import tiny")
    (place,) = places(project)
    (place / "ready").write_text("0.0.1 1 /another/cog")
    (own,) = place.glob("lib/python3*/site-packages/cog")
    (own / "__init__.py").write_text("raise SystemExit('old')\n")
    (own / "old.py").touch()
    assert shell.python(project, "import cog; print(cog.BaseRunner.__name__)", **NO_UV) == "BaseRunner"
    assert not (own / "old.py").exists()
    assert places(project) == [place]


def test_two_that_want_the_same_make_it_once(shell: Shell, tmp_path: Path) -> None:
    own = make_patient_package(tmp_path / "own")
    folder = make_project(tmp_path, requirements="./own\n")
    with shell.start(folder, "exec", "python", "-c", "import patient") as first:
        until((own / "begun").exists, bool)
        with shell.start(folder, "exec", "python", "-c", "import patient") as second:
            second.wait_written("waiting for another cog")
            (own / "go").touch()
            assert (first.wait(), second.wait()) == (0, 0), first.written + second.written
    assert len((own / "begun").read_text().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_what_was_interrupted_does_not_count(shell: Shell, tmp_path: Path, number: signal.Signals) -> None:
    own = make_patient_package(tmp_path / "own")
    folder = make_project(tmp_path, requirements="./own\n")
    with shell.start(folder, "exec", "true") as command:
        until((own / "begun").exists, bool)
        uv = int(until((own / "begun").read_text, bool).split()[0])
        if number == signal.SIGINT:  # as a terminal does it: to all of them
            os.killpg(command.process.pid, number)
            assert command.wait() == 130
            assert gone(uv)
        else:
            command.process.kill()
            command.wait()
    (own / "go").touch()
    assert shell.python(folder, "import patient; print(patient.VALUE)") == "1"
    assert len(places(folder)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_for_cog_alone_ends_uv(shell: Shell, tmp_path: Path, number: signal.Signals) -> None:
    own = make_patient_package(tmp_path / "own")
    folder = make_project(tmp_path, requirements="./own\n")
    with shell.start(folder, "exec", "true") as command:
        uv = int(
            until(lambda: (own / "begun").read_text() if (own / "begun").exists() else "", bool).split()[0]
        )
        command.process.send_signal(number)
        assert command.wait() == 128 + number
        assert gone(uv)
    (own / "go").touch()


def test_a_uv_that_is_killed_is_told_as_that(shell: Shell, tmp_path: Path) -> None:
    own = make_patient_package(tmp_path / "own")
    folder = make_project(tmp_path, requirements="./own\n")
    with shell.start(folder, "exec", "true") as command:
        uv = int(
            until(lambda: (own / "begun").read_text() if (own / "begun").exists() else "", bool).split()[0]
        )
        os.kill(uv, signal.SIGKILL)
        assert command.wait() == 1
    told = "".join(command.written)
    assert "uv was killed by SIGKILL" in told
    assert "Correct it" not in told
    assert places(folder) == []
    (own / "go").touch()


@pytest.mark.slow
def test_the_oldest_go_and_one_in_use_stays(shell: Shell, tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    config = (folder / "cog.yaml").read_text()
    with shell.start(folder, "exec", "cat") as holding:
        until(lambda: "Environment ready" in "".join(holding.written), bool)
        (used,) = places(folder)
        for number in range(4):
            os.utime(used / "used", (1, 1))
            (folder / "requirements.txt").write_text(f"# {number}\n")
            (folder / "cog.yaml").write_text(f"{config}build:\n  python_requirements: requirements.txt\n")
            shell.python(folder, "pass")
        assert used in places(folder)
        assert len(places(folder)) == 4
    os.utime(used / "used", (1, 1))
    (folder / "requirements.txt").write_text("# more\n")
    shell.python(folder, "pass")
    assert used not in places(folder)
    assert len(places(folder)) == 3


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / ".cog").write_text(""), ".cog is a file"),
        (lambda folder: (folder / ".cog").symlink_to("/no/such"), ".cog is a link to nothing"),
        (
            lambda folder: ((folder / ".cog").mkdir(), (folder / ".cog" / "environments").write_text("")),
            ".cog/environments is a file",
        ),
        (
            lambda folder: (folder / ".cog").symlink_to("/proc/self"),
            "/.cog/environments cannot be written: ",
        ),
    ],
)
def test_a_folder_that_cannot_be_written(tmp_path: Path, spoil: Callable[[Path], object], told: str) -> None:
    folder = make_project(tmp_path)
    spoil(folder)
    with pytest.raises(EnvironmentFailed) as refused:
        prepare(load(folder / "cog.yaml"), folder, print)
    assert told in str(refused.value)
    assert "--no-env" in str(refused.value)


def test_a_disk_that_knows_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    folder = make_project(tmp_path)
    config = load(folder / "cog.yaml")
    made = prepare(config, folder, print)
    assert os.access(made.python, os.X_OK)
    assert existing(config, folder) == made


@pytest.mark.slow
def test_from_the_registry(tmp_path: Path, shell: Shell) -> None:
    folder = make_project(tmp_path, requirements="six==1.17.0\nidna\n")
    network = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_"))}
    online = Shell({**{k: v for k, v in shell.environ.items() if k != "UV_OFFLINE"}, **network})
    assert online.python(folder, "import six, idna; print(six.__version__)") == "1.17.0"
