"""What a model started in a session of its own: it is in no process group of ours, and is known by its environment.

Every worker gets a mark in its environment, which everything that it starts inherits. A program that was given another
environment on purpose is not found. Linux only: elsewhere the environments of others cannot be read.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "COG_WORKER_MARK"


def kill(mark: str) -> int:
    """Kill every process that carries `mark`, or a mark that begins with it and a dot; gives how many there were."""
    wanted = f"{VARIABLE}={mark}".encode()
    count = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdecimal() and any(
            word == wanted or word.startswith(wanted + b".") for word in _environ(name, wanted)
        ):
            count += _kill(int(name))
    return count


def _environ(name: str, wanted: bytes) -> list[bytes]:
    """The environment of the process `name`, if `wanted` is somewhere in it. Of the many that there are nearly none is."""
    try:
        with open(f"/proc/{name}/environ", "rb", buffering=0) as file:
            content = file.read()
    except OSError:  # it has ended, or it belongs to somebody else
        return []
    return content.split(b"\0") if wanted in content else []


def _kill(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return 0
    return 1
