"""`cog debug`: what cog makes of a folder."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from support.projects import Shell, make_project, make_wheel, variables
from support.typed import called


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(variables(tmp_path_factory.mktemp("uv")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_wheel(tmp_path / "wheels", "tiny")
    config = "  gpu: true\n  system_packages: [ffmpeg]\nconcurrency:\n  max: 4\nenvironment: [API_TOKEN=hidden, GREETING=hello]\n"
    return make_project(tmp_path, config, requirements="./wheels/tiny-1.0-py3-none-any.whl\ncog==0.9\n")


def test_everything_as_json(shell: Shell, project: Path) -> None:
    done = shell.cog(project, "debug", "--json", "-e", "DATABASE=https://me:word@example.com/")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["configuration"] == str(project / "cog.yaml")
    assert found["run"] == "run.py:Runner"
    assert platform.python_version().startswith(found["python"]["version"])
    assert Path(found["python"]["interpreter"]).exists()
    assert found["environment"]["ready"] is False
    assert found["environment"]["folder"].endswith(found["environment"]["key"])
    assert found["requirements"]["packages"] == ["./wheels/tiny-1.0-py3-none-any.whl"]
    assert found["requirements"]["dropped"] == ["cog==0.9"]
    assert found["requirements"]["made_from"] == ["requirements.txt", "wheels/tiny-1.0-py3-none-any.whl"]
    assert "ffmpeg" in found["limits"]
    assert (found["concurrency"], found["gpu"]) == (4, True)
    shown = found["variables"]
    assert (shown["GREETING"], shown["DATABASE"]) == ("hello", "https://**********@example.com/")
    assert "hidden" not in done.stdout
    assert not (project / ".cog").exists()


def test_says_when_the_environment_is_ready(shell: Shell, project: Path) -> None:
    shell.python(project, "import tiny")
    found = json.loads(shell.cog(project, "debug", "--json").stdout)
    assert found["environment"]["ready"] is True
    assert Path(found["environment"]["folder"], "bin", "python").exists()


def test_as_text(shell: Shell, project: Path) -> None:
    done = called("debug", "--text", folder=project, env=shell.environ)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "run: run.py:Runner" in lines
    assert "train: -" in lines
    assert "  ready: no" in lines
    assert "  API_TOKEN: **********" in lines


def test_a_python_that_there_is_not(shell: Shell, tmp_path: Path) -> None:
    folder = make_project(tmp_path, 'build:\n  python_version: "3.99"\n')
    found = json.loads(called("debug", "--json", folder=folder, env=shell.environ).out)
    assert found["python"] == {"version": "3.99", "interpreter": None}


def test_without_a_model(shell: Shell, tmp_path: Path) -> None:
    done = called("debug", folder=tmp_path, env=shell.environ)
    assert (done.code, done.out) == (1, "")
    assert "There is no cog.yaml" in done.err
