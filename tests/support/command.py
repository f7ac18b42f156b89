"""The server as a command: what it writes, and how it ends. For what `serving` takes for granted."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.serving import DEADLINE

# What the machine of the tests may have set, and what would change the outcome.
_CLEARED = ("PORT", "LOG_FORMAT", "NO_COLOR", "WEBHOOK_AUTH_TOKEN", "KUBERNETES_SERVICE_HOST")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without any option of the server, and `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COG_") and k not in _CLEARED}
    return {**kept, "PORT": "0", **(extra or {})}


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "cog.server.http", *flags]


def run(folder: Path, *flags: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which has to come by itself."""
    return subprocess.run(
        command(*flags),
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


@dataclass
class Running:
    """A server that runs, and what it has written to stderr so far."""

    process: subprocess.Popen[bytes]
    _written: bytearray = field(default_factory=bytearray)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def written(self) -> str:
        with self._changed:
            return self._written.decode()

    def read(self, descriptor: int) -> None:
        """Until the end of the file; a terminal whose other side is closed ends with an error."""
        with suppress(OSError):
            while data := os.read(descriptor, 65536):
                with self._changed:
                    self._written += data
                    self._changed.notify_all()

    def wait_written(self, text: str, timeout: float = DEADLINE) -> str:
        """What is written, once `text` is in it."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while text not in (written := self._written.decode(errors="replace")):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{text!r} was not written:\n{written}")
            return written


@contextmanager
def running(
    folder: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
    terminal: bool = False,
    before: Sequence[str] = (),
) -> Iterator[Running]:
    """A server whose stderr is a pipe or a pseudo-terminal; at the end it has to end in order.

    `before` are words that stand before its command, those of a program that turns into it.
    """
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        process = subprocess.Popen(
            [*before, *command(*flags)],
            cwd=folder,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stderr=theirs,
        )
    finally:
        os.close(theirs)
    server = Running(process)
    reader = threading.Thread(target=server.read, args=(ours,))
    reader.start()
    try:
        yield server
        process.terminate()
        assert process.wait(DEADLINE) == 0, server.written
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join(DEADLINE)
        os.close(ours)
