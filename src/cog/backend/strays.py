"""What a model started in a session of its own: it is in no process group of ours, and is known by its environment.

Every worker gets a mark in its environment, which everything that it starts inherits. A program that was given another
environment on purpose is not found. Linux only: elsewhere the environments of others cannot be read.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

VARIABLE: Final = "COG_WORKER_MARK"


def kill(mark: str) -> int:
    """Kill every process that carries `mark`, or a mark that begins with it and a dot; gives how many there were."""
    wanted = f"{VARIABLE}={mark}".encode()
    count = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has ended, or it belongs to somebody else
            continue
        if any(word == wanted or word.startswith(wanted + b".") for word in words):
            count += _kill(int(path.parent.name))
    return count


def _kill(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return 0
    return 1
