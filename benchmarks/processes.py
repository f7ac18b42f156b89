"""The processes of a contestant, wherever they are: each inherits a mark in its environment."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Final

MARK: Final = "COG_BENCHMARK_MARK"
PATIENCE: Final = 10.0  # seconds


def marked(mark: str) -> list[int]:
    """The processes that have this mark."""
    wanted, found = f"{MARK}={mark}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def end(mark: str) -> None:
    """Kill what is left of a contestant, and wait until it is gone.

    Raises:
        TimeoutError: something is still there.
    """
    deadline = time.monotonic() + PATIENCE
    while left := marked(mark):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes that cannot be killed: {left}")
        time.sleep(0.02)


def mebibytes(pid: int, field: str = "VmHWM") -> float:
    """Memory of a process, as Linux counts it; without `field` the most that it has ever had. 0 when it has gone."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        if found is not None:
            return int(found[1]) / 1024
    return 0.0


def all_mebibytes(mark: str, field: str = "VmRSS") -> float:
    """Memory of all processes of a contestant together; what they share is counted in each."""
    return sum(mebibytes(pid, field) for pid in marked(mark))


def forget_peaks(mark: str) -> None:
    """Make the most that each process had what it has now."""
    for pid in marked(mark):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def all_processor_seconds(mark: str) -> float:
    """What the processes of a contestant have computed so far, all together."""
    found = 0.0
    for pid in marked(mark):
        with contextlib.suppress(OSError):
            found += processor_seconds(pid)
    return found


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found
