"""Images that cannot be built, or only in part: the person is told why."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from pathlib import Path

import pytest

from containers.ground import DEBIAN, Ground
from support.cogs import COG
from support.serving import until, write_model

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(300)]

BASE = f"base_image: '{DEBIAN}', python_version: '3.11'"
WRONG = (
    "from cog import BaseRunner\nclass Runner(BaseRunner):\n    def run(self, x) -> str:\n        return ''\n"
)
NEEDS_GPU = "raise RuntimeError('no CUDA device here')\n"


def test_a_wrong_signature_fails_the_build_as_it_fails_a_server(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "wrong", WRONG, f"build: {{{BASE}}}\nrun: run.py:Runner\n")
    done = ground.cog(folder, "build", "-t", "cog-test-wrong")
    assert done.returncode == 1
    assert "the image is built, but its model cannot be served:" in done.stderr
    served = ground.cog(folder, "run", "--no-env", "-i", "x=1")
    message = next(line for line in served.stderr.splitlines() if "SignatureError" in line).rpartition(
        "SignatureError: "
    )[2]
    assert message[:40] in done.stderr
    assert "localhost/cog-test-wrong" not in ground.call("podman", "images", "--format", "{{.Repository}}")


def test_an_import_that_needs_a_gpu_costs_the_label_alone(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "gpu", NEEDS_GPU, f"build: {{gpu: true, {BASE}}}\nrun: run.py:Runner\n")
    done = ground.build(folder, "cog-test-gpu")
    assert (
        "the image has no schema: its model cannot be imported here, perhaps since there is no GPU"
        in done.stderr
    )
    assert "RuntimeError: no CUDA device here" in done.stderr
    assert "run.cog.openapi_schema" not in ground.labels("cog-test-gpu")
    (folder / "schema.json").write_text('{"openapi": "3.0.2"}')
    ground.build(folder, "cog-test-gpu", "--openapi-schema", "schema.json")
    assert json.loads(ground.labels("cog-test-gpu")["run.cog.openapi_schema"]) == {"openapi": "3.0.2"}


def test_an_import_that_fails_on_a_cpu_fails_the_build(ground: Ground, tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "cpu", "import nothing_of_this_name\n", f"build: {{{BASE}}}\nrun: run.py:Runner\n"
    )
    done = ground.cog(folder, "build", "-t", "cog-test-cpu")
    assert done.returncode == 1
    assert "No module named 'nothing_of_this_name'" in done.stderr


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (
            "base_image: 'localhost/python:3.11-slim', python_version: '3.13'",
            "the base image has Python 3.11",
        ),
        (f"{BASE}, run: ['git --version']", "add `git` to build.system_packages"),
        (f"{BASE}, system_packages: [no-package-of-this-name]", "build.system_packages names a package that"),
    ],
)
def test_a_step_that_fails_is_shown_and_explained(
    ground: Ground, tmp_path: Path, build: str, told: str
) -> None:
    folder = write_model(tmp_path / "step", NEEDS_GPU, f"build: {{{build}}}\nrun: run.py:Runner\n")
    done = ground.cog(folder, "build", "-t", "cog-test-step", "--progress", "quiet")
    assert done.returncode == 1
    assert done.stderr.startswith("error: buildah cannot build the image:")
    assert told in done.stderr
    assert list((folder / ".cog" / "build").iterdir()) == []


@pytest.mark.parametrize("engine", ["buildah", "podman"])
def test_ctrl_c_ends_a_build_and_leaves_nothing(ground: Ground, tmp_path: Path, engine: str) -> None:
    seconds = {"buildah": "4871", "podman": "4872"}[engine]
    folder = write_model(
        tmp_path / "long", NEEDS_GPU, f"build: {{{BASE}, run: ['sleep {seconds}']}}\nrun: run.py:Runner\n"
    )
    before = ground.call("buildah", "containers", "--quiet")
    with subprocess.Popen(
        [*COG, "build", "--engine", engine, "-t", "cog-test-long"],
        cwd=folder, env=ground.environ, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        until(lambda: sleeping(seconds), lambda there: there, timeout=120)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert not sleeping(seconds)
    assert ground.call("buildah", "containers", "--quiet") == before


def sleeping(seconds: str) -> bool:
    """Whether the command of the build runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
    return False


def test_a_build_that_fails_leaves_no_container(ground: Ground, tmp_path: Path) -> None:
    before = ground.call("buildah", "containers", "--quiet")
    folder = write_model(tmp_path / "fails", NEEDS_GPU, f"build: {{{BASE}, run: ['false']}}\nrun: run.py\n")
    assert ground.cog(folder, "build").returncode == 1
    assert ground.call("buildah", "containers", "--quiet") == before
