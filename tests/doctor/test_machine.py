"""The doctor's checks of the machine, with real programs, ports and files in the place of what it looks at."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from cog.doctor import image, machine, surroundings
from cog.doctor.findings import Finding
from cog.doctor.patient import Patient, examine


def patient(folder: Path, build: str = "gpu: true") -> Patient:
    path = folder / "cog.yaml"
    path.write_text(f"run: run.py:Runner\nbuild:\n  {build}\n")
    return examine(path)


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def gpu(subject: Patient, **environ: str) -> Finding:
    (finding,) = machine.gpu(subject, environ)
    assert finding.check == "env-gpu-compat"
    return finding


def test_a_model_without_a_gpu_needs_none(tmp_path: Path, bin: Path) -> None:
    assert gpu(patient(tmp_path, "gpu: false")).level == "ok"


def test_a_gpu_that_is_missing_is_a_warning_at_its_line(tmp_path: Path, bin: Path) -> None:
    finding = gpu(patient(tmp_path))
    assert finding.level == "warning"
    assert finding.where is not None
    assert finding.where.line == 3
    program(bin, "nvidia-smi", "echo 'no devices were found'; exit 6")
    assert gpu(patient(tmp_path)).level == "warning"
    assert gpu(patient(tmp_path), COG_SKIP_GPU_CHECK="1").level == "note"


@pytest.mark.parametrize(
    ("cuda", "level"),
    [("12.4", "ok"), ("12.4.1", "ok"), ("11.8", "ok"), ("12.5", "warning"), ("13.0", "warning")],
)
def test_the_driver_has_to_know_the_cuda(cuda: str, level: str, tmp_path: Path, bin: Path) -> None:
    program(
        bin, "nvidia-smi", "echo '| NVIDIA-SMI 550.54  Driver Version: 550.54   CUDA Version: 12.4     |'"
    )
    assert gpu(patient(tmp_path, f"gpu: true\n  cuda: '{cuda}'")).level == level
    assert gpu(patient(tmp_path)).text == "a GPU, its driver knows CUDA up to 12.4"


def test_a_container_engine_is_never_an_error(bin: Path) -> None:
    (missing,) = machine.engine({})
    assert (missing.check, missing.level) == ("env-docker", "note")
    program(bin, "podman", "exit 1")
    (found,) = machine.engine({})
    assert (found.level, found.text) == ("ok", "container engine: podman")
    (skipped,) = machine.engine({"COG_SKIP_DOCKER_CHECK": "1"})
    assert "COG_SKIP_DOCKER_CHECK" in skipped.text


def test_a_taken_port_is_told_with_another_to_take() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        (finding,) = machine.port(number)
        assert finding.level == "warning"
        assert f"cog serve -p {number + 1}" in finding.advice
    (finding,) = machine.port(number)
    assert finding.level == "ok"


def test_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal: 9999999 kB\nMemAvailable:    4194304 kB\n")
    assert machine.available(info, tmp_path) == 4 * 1024**3
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1\n")
    assert machine.available(info, tmp_path) == 4 * 1024**3
    (tmp_path / "memory.max").write_text(f"{1024**3}\n")
    (tmp_path / "memory.current").write_text(f"{1024**2}\n")
    assert machine.available(info, tmp_path) == 1024**3 - 1024**2
    assert machine.available(tmp_path / "nowhere", tmp_path) is None


def test_memory_and_disk_of_this_machine(tmp_path: Path) -> None:
    (memory,) = machine.memory()
    (disk,) = machine.disk(patient(tmp_path))
    for finding in (memory, disk):
        assert "free" in finding.text or finding.level == "note"
        assert bool(finding.advice) is (finding.level in ("warning", "error"))


def test_the_running_python_is_here(tmp_path: Path) -> None:
    (finding,) = surroundings.python(
        patient(tmp_path, f"python_version: '{sys.version_info[0]}.{sys.version_info[1]}'")
    )
    assert (finding.level, finding.text.split(": ")[1]) == ("ok", sys.executable)
    (finding,) = surroundings.python(patient(tmp_path, "gpu: false"))
    assert finding.level == "note"


def test_a_python_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    (finding,) = surroundings.python(patient(tmp_path, "python_version: '3.99'"))
    assert (finding.level, finding.text) == ("warning", "Python 3.99 is not on this machine")
    assert finding.where is not None
    assert finding.where.line == 3
    assert "uv python install 3.99" in finding.advice


def test_what_only_an_image_can_have(tmp_path: Path) -> None:
    (finding,) = surroundings.limits(patient(tmp_path, "system_packages: [ffmpeg]"))
    assert finding.level == "warning"
    assert "ffmpeg" in finding.text
    assert list(surroundings.limits(patient(tmp_path))) == []


def test_no_environment_is_made_by_looking(tmp_path: Path) -> None:
    (finding,) = surroundings.ready(patient(tmp_path))
    assert finding.level == "note"
    assert os.listdir(tmp_path) == ["cog.yaml"]


def test_the_base_of_an_image_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "cog.yaml"
    path.write_text(
        'run: run.py\nbuild:\n  python_version: "3.12"\n  gpu: true\n  cuda: "12.8"\n  python_packages: [torch==2.4.1]\n'
    )
    wrong, chosen = image.begins_with(examine(path))
    assert (wrong.level, wrong.where and wrong.where.line) == ("warning", 5)
    assert "torch 2.4.1 has wheels for CUDA 11.8 and 12.1 and 12.4" in wrong.text
    assert (
        chosen.text
        == "an image begins with docker.io/nvidia/cuda:12.8.1-cudnn-devel-ubuntu24.04 (CUDA 12.8.1 with cuDNN 9: cog.yaml asks for it)"
    )
    path.write_text("run: run.py\nbuild:\n  python_packages: [../outside.whl]\n")
    (tmp_path.parent / "outside.whl").write_text("x")
    (refused,) = image.begins_with(examine(path))
    assert (refused.level, "outside" in refused.text) == ("warning", True)
