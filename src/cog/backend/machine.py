"""What this machine can give: processors and memory, by the limits of the container this runs in."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def cpus() -> int:
    """Processors that this process may use: by affinity, and by the quota of its control group (rounded up)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def has_two_to_spare() -> bool:
    """True where two processes may keep a processor busy each: there are two, and there is no quota of a control group, or
    one of 3 or more. Who is over the quota stands still for the rest of its period (`cpu.max` in the kernel's cgroup-v2)."""
    quota = _cpu_quota()
    return cpus() >= 2 and (quota is None or quota >= 3)


def _cpu_quota() -> float | None:
    quotas = [quota for folder in _groups() if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def _groups() -> list[Path]:
    """The control group of this process and those around it, as far as they can be seen (cgroups(7), /proc/PID/cgroup)."""
    found = [_CGROUP, _CGROUP / "cpu"]
    for line in (_read(_OWN) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = _CGROUP / "cpu" if controllers else _CGROUP
        for name in path.split("/"):
            if name == "..":  # out of sight
                break
            folder /= name
            found.append(folder)
    return found


def _quota_of(folder: Path) -> float | None:
    text = _read(folder / "cpu.max")  # version 2: "quota period" or "max period"
    if text is not None:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100_000)
    quota_v1, period_v1 = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_v1 / period_v1 if quota_v1 is not None and period_v1 and quota_v1 > 0 else None


def free_memory() -> int | None:
    """Bytes that can still be taken before something is killed; None where that cannot be found out."""
    system = _available()
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    if limit is None:
        limit = _number(_CGROUP / "memory/memory.limit_in_bytes")
        used = _number(_CGROUP / "memory/memory.usage_in_bytes")
    group = limit - used if limit is not None and used is not None else None
    known = [value for value in (system, group) if value is not None]
    return max(0, min(known)) if known else None


def _available() -> int | None:
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def memory_of(pid: int) -> int | None:
    """Bytes of memory that the process takes: its proportional set size, or the resident one where that is all."""
    for line in (_read(Path(f"/proc/{pid}/smaps_rollup")) or "").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    try:
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
        )
        return int(shown.stdout) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def memory_of_group(leader: int) -> int | None:
    """Bytes of memory that the processes of a group take together, see `memory_of`; None when it cannot be measured."""
    sizes = [size for size in map(memory_of, _members(leader)) if size is not None]
    return sum(sizes) if sizes else None


def _members(leader: int) -> list[int]:
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdecimal():
            # "pid (name) state parent group ...", and a name may hold anything
            fields = (_read(Path(f"/proc/{name}/stat")) or "").rpartition(")")[2].split()
            if len(fields) > 2 and int(fields[2]) == leader:
                found.append(int(name))
    return found or [leader]


def uses_gpu(pid: int) -> bool:
    """True when the process has opened a GPU device."""
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for link in links:
        try:
            if os.readlink(link).startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri/renderD")):
                return True
        except OSError:
            continue  # closed in the meantime
    return False


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
