"""Calls a container engine: what it prints is followed line by line, and kept for when it fails."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cog.errors import ImageFailed

ENDING: Final = 5.0  # seconds that an engine gets to end after it was told to
_KEPT: Final = 60  # lines that are shown of what has failed
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def follow(command: Sequence[str], heard: Callable[[str], None]) -> None:
    """Call it to its end; `heard` gets every line. When this is left by an exception the engine is ended before.

    Raises:
        ImageFailed: it has failed; the text has the last lines.
    """
    lines: deque[str] = deque(maxlen=_KEPT)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C on a terminal reaches the command alone, which ends the engine in order
    )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                plain = _plain(line)
                lines.append(plain)
                heard(plain)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
    if code != 0:
        raise ImageFailed("\n".join(lines))


def _plain(line: bytes) -> str:
    """A line without colours, as it stands in the end where it was written over."""
    return _ANSI.sub("", line.decode("utf-8", "replace")).rstrip().rpartition("\r")[2]


def answer(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Call it to its end, for what it prints."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Those that the engine has started first: so it sees that its step has failed, and clears up what that had made."""
    try:
        if others := _beside(process):
            _tell(others, signal.SIGTERM)
            process.wait(ENDING)
        process.terminate()
        process.wait(ENDING)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
    _tell(_beside(process), signal.SIGKILL)


def _beside(process: subprocess.Popen[bytes]) -> list[int]:
    """What else runs in the engine's session, where the system tells; docker has everything in its daemon."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) == process.pid and int(entry.name) != process.pid:
                found.append(int(entry.name))
    return found


def _tell(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
