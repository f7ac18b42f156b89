"""On what a model was measured, in words: figures without it say nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final

_PATIENCE: Final = 5.0  # seconds that a driver may take to say what it drives
_CPUS: Final = Path("/proc/cpuinfo")


def describe() -> str:
    """Its processor, and its GPUs where NVIDIA's driver tells of them."""
    return ", ".join([_processor(), *_names()])


def processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = _CPUS.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.machine()


def _names() -> list[str]:
    path = shutil.which("nvidia-smi")
    if path is None:
        return []
    command = [path, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if not done.returncode else []
