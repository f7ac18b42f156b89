"""The command `cog` as a process, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import pty
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.command import environment as cleared
from support.serving import DEADLINE, until

COG = (sys.executable, "-m", "cog.cli.main")
MARK = "COG_TESTS_MARK"  # in the environment of a command, and so of everything that it starts


def surroundings(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: without any option of the server. An installed cog is compiled; without that most
    of what these tests do would be compiling it again and again."""
    return {name: value for name, value in cleared(extra).items() if name != "PYTHONDONTWRITEBYTECODE"}


def cog(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float = DEADLINE,
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    result = subprocess.run(
        [*COG, *arguments],
        cwd=folder,
        env=surroundings(env),
        input=b"" if stdin is None else stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    out, err = result.stdout.decode(), result.stderr.decode()
    return subprocess.CompletedProcess(result.args, result.returncode, out, err)


@dataclass
class Cog:
    """A command that runs, and what it has written so far; with a terminal both streams are one."""

    process: subprocess.Popen[bytes]
    mark: str
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self, descriptor: int, into: bytearray) -> None:
        with contextlib.suppress(OSError):  # a terminal whose other side is closed
            while data := os.read(descriptor, 65536):
                with self._changed:
                    into += data
                    self._changed.notify_all()
        os.close(descriptor)

    def wait_written(self, text: str, *, on: str = "err") -> str:
        """What is written on `out` or `err`, once `text` is in it."""
        into, deadline = getattr(self, on), time.monotonic() + DEADLINE
        with self._changed:
            while text not in (written := bytes(into).decode(errors="replace")):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{text!r} was not written:\n{written}\n{bytes(self.err).decode()}")
        return written

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = DEADLINE) -> int:
        return self.process.wait(timeout)

    def descendants(self) -> list[str]:
        """The command lines of everything that it has started, and that runs."""
        return [line for pid, line in marked(self.mark).items() if pid != self.process.pid]


@contextlib.contextmanager
def started(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, terminal: bool = False
) -> Iterator[Cog]:
    """The command, which has to leave nothing behind: no process of its own, none of the model."""
    mark = secrets.token_hex(8)
    if terminal:
        ours, theirs = pty.openpty()
        outs, streams = [ours], (theirs, theirs)
    else:
        (out, theirs_out), (err, theirs_err) = os.pipe(), os.pipe()
        outs, streams = [out, err], (theirs_out, theirs_err)
    process = subprocess.Popen(
        [*COG, *arguments],
        cwd=folder,
        env={**surroundings(env), MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=streams[0],
        stderr=streams[1],
    )
    for descriptor in set(streams):
        os.close(descriptor)
    running = Cog(process, mark)
    threads = [
        threading.Thread(target=running.read, args=(descriptor, into))
        for descriptor, into in zip(outs, (running.out, running.err), strict=False)
    ]
    for thread in threads:
        thread.start()
    try:
        yield running
        running.wait()
        until(lambda: marked(mark), lambda found: not found, timeout=5)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for thread in threads:
            thread.join(DEADLINE)


def marked(mark: str) -> dict[int, str]:
    """The processes that carry the mark, by their ids."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found[int(path.parent.name)] = (
                    (path.parent / "cmdline").read_bytes().decode().replace("\0", " ")
                )
    return found
