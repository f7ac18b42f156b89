"""Checks of the machine: what is installed, what is free."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from cog.doctor.findings import Finding, Place
from cog.doctor.patient import Patient, entry
from cog.image.choice import ENGINES
from cog.image.engine import Extra

PORT: Final = 8393  # where `cog serve` listens unless it is told otherwise
_GIB: Final = 1024**3
# An environment with torch for CPUs takes about 1 GiB, one for CUDA 5; weights come on top.
_ROOMY: Final = 6 * _GIB
_TIGHT: Final = _GIB // 4
# What a small network needs beside Python and its libraries.
_MEMORY: Final = _GIB
_PATIENCE: Final = 10.0  # seconds for a driver to answer: the first call after a boot takes some
_CUDA: Final = re.compile(r"CUDA Version:\s*([0-9]+)\.([0-9]+)")


def engine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """env-docker: an engine for containers. Only images need one."""
    if environ.get("COG_SKIP_DOCKER_CHECK"):
        yield Finding("env-docker", "note", "not looked for: COG_SKIP_DOCKER_CHECK is set")
        return
    troubles = {name: make(Extra()).trouble() for name, make in ENGINES.items()}
    found = next((name for name, trouble in troubles.items() if trouble is None), None)
    if found is not None:
        yield Finding("env-docker", "ok", f"container engine: {found}")
    else:
        text = f"no container engine ({', '.join(filter(None, troubles.values()))})"
        yield Finding(
            "env-docker",
            "note",
            text,
            advice="Only `cog build` and images need one: models run in environments of their own.",
        )


def gpu(patient: Patient, environ: Mapping[str, str]) -> Iterator[Finding]:
    """env-gpu-compat: a model that asks for a GPU finds one, with a driver that is new enough for its CUDA."""
    check = "env-gpu-compat"
    if environ.get("COG_SKIP_GPU_CHECK"):
        yield Finding(check, "note", "not looked for: COG_SKIP_GPU_CHECK is set")
        return
    if patient.config is None or not patient.config.build.gpu:
        yield Finding(check, "ok", "the model asks for no GPU")
        return
    key = entry(patient.tree, "build", "gpu")
    place = Place(patient.path, None if key is None else key[0].line)
    report = _driver()
    if report is None:
        advice = "The model runs on the CPU here, if it can, and slowly. Install NVIDIA's driver, or run it where a GPU is."
        yield Finding(check, "warning", "the model asks for a GPU, and nvidia-smi shows none", place, advice)
        return
    match = _CUDA.search(report)
    have = None if match is None else (int(match[1]), int(match[2]))
    wanted = patient.config.build.cuda
    # Drivers run what was built for an older minor version of the same CUDA, and for every older one.
    if have is not None and wanted is not None and tuple(map(int, wanted.split(".")[:2])) > have:
        text = f"cog.yaml asks for CUDA {wanted}, and the driver knows {have[0]}.{have[1]} at most"
        advice = "Libraries for that CUDA may find no GPU. Update the driver, or ask for an older CUDA."
        yield Finding(check, "warning", text, place, advice)
        return
    yield Finding(check, "ok", f"a GPU, its driver knows CUDA up to {have[0]}.{have[1]}" if have else "a GPU")


def _driver() -> str | None:
    """What nvidia-smi says; None when there is none, or it finds no GPU."""
    path = shutil.which("nvidia-smi")
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path], capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def port(number: int = PORT) -> Iterator[Finding]:
    """env-port: the port of `cog serve` is free."""
    try:
        with socket.socket() as listening:
            listening.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as the server does: old connections do not count
            listening.bind(("127.0.0.1", number))
    except OSError as error:
        text = f"port {number} cannot be had: {error.strerror}"
        advice = f"`cog serve` would fail. End what listens there, or serve on another port: `cog serve -p {number + 1}`."
        yield Finding("env-port", "warning", text, advice=advice)
    else:
        yield Finding("env-port", "ok", f"port {number} is free for `cog serve`")


def disk(patient: Patient) -> Iterator[Finding]:
    """env-disk: there is room for the model's environment, which lies below the project's folder."""
    free = shutil.disk_usage(patient.folder).free
    text = f"{_size(free)} free on the disk of {patient.folder}"
    advice = "The model's environment lies in .cog/ there, and one with torch takes 1 to 6 GiB. Make room."
    level = _graded(free, error=_TIGHT, warning=_ROOMY)
    yield Finding("env-disk", level, text, advice=advice if level != "ok" else "")


def memory() -> Iterator[Finding]:
    """env-memory: there is memory for a model."""
    free = available()
    if free is None:
        yield Finding("env-memory", "note", "how much memory is free cannot be told on this system")
        return
    level = _graded(free, error=0, warning=_MEMORY)
    advice = "A model that does not fit is ended by the system without a word. End other programs, or use a larger machine."
    yield Finding(
        "env-memory", level, f"{_size(free)} of memory free", advice=advice if level != "ok" else ""
    )


def _graded(free: int, *, error: int, warning: int) -> Literal["ok", "warning", "error"]:
    if free < error:
        return "error"
    return "warning" if free < warning else "ok"


def available(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that programs may still take: of the machine, or of the container that this is."""
    try:
        match = re.search(r"MemAvailable:\s*([0-9]+) kB", proc.read_text())
    except OSError:
        match = None
    if match is None:
        return None
    free = int(match[1]) * 1024
    try:
        limit, used = (
            (group / "memory.max").read_text().strip(),
            (group / "memory.current").read_text().strip(),
        )
        return free if limit == "max" else min(free, max(0, int(limit) - int(used)))
    except (OSError, ValueError):  # no limit, or none that is written there
        return free


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / 1024**2:.0f} MiB"
