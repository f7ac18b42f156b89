"""Calls a container engine: what it prints is followed line by line, and kept for when it fails."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
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
    process.terminate()
    try:
        process.wait(ENDING)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
