"""One operating-system process for a worker: its two sockets, its two pipes, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from cog.errors import WorkerDied
from cog.worker.messages import CHANNEL_BROKEN

if TYPE_CHECKING:  # a worker is started before asyncio is imported, see `HeadStart`
    import asyncio

# Secrets of the server that a model has no business with; PYTHONHOME would lead another Python astray.
_WITHHELD: Final = frozenset(
    {"WEBHOOK_AUTH_TOKEN", "WEBHOOK_SIGNING_SECRET", "PYTHONHOME", "__PYVENV_LAUNCHER__"}
)


class Process:
    """A started process. It leads a process group of its own, so that what it started ends with it."""

    def __init__(self, command: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
        """Start `command` with `--data FD --control FD` added.

        Raises:
            WorkerDied: the program cannot be started.
        """
        self._program = command[0]
        try:
            self._start(command, folder, environment)
        except OSError as error:
            what = error.filename or command[0]
            raise WorkerDied(
                f"the worker cannot be started: {what}: {error.strerror or error}. COG_WORKER_PYTHON, if set, "
                "must name a Python 3.10 or later."
            ) from error
        for sock in (self.data, self.control):
            sock.setblocking(False)
        for fd in (self.stdout, self.stderr):
            os.set_blocking(fd, False)

    def _start(self, command: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
        with ExitStack() as ours, ExitStack() as theirs:
            self.data, data = _socketpair(ours, theirs)
            self.control, control = _socketpair(ours, theirs)
            self.stdout, out = _pipe(ours, theirs)
            self.stderr, err = _pipe(ours, theirs)
            self._popen = subprocess.Popen(
                [*command, "--data", str(data.fileno()), "--control", str(control.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(data.fileno(), control.fileno()),
                cwd=folder,
                env={name: value for name, value in environment.items() if name not in _WITHHELD},
                start_new_session=True,
            )
            _ = ours.pop_all()  # they stay open

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._popen.pid

    def when_ended(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        """Arrange that `call` is called on `loop` once, after the process has ended."""
        from cog.backend.watch import Watch

        _ = Watch(self._popen, loop, call)

    def kill(self) -> None:
        """Kill the process and all that is left of its group. The group outlives its leader, so this is right later too."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (
            ProcessLookupError,
            PermissionError,
        ):  # nobody is left (macOS says EPERM for a group of zombies)
            return

    def close(self) -> None:
        """Give up the sockets and pipes, after the process has ended."""
        self.data.close()
        self.control.close()
        os.close(self.stdout)
        os.close(self.stderr)

    def obituary(self, *, ready: bool) -> str:
        """How it ended, in plain words; `ready` when its model was set up before."""
        code = self._popen.returncode
        if code is None:
            return "the worker process closed its channel"
        if code == CHANNEL_BROKEN:
            return TRESPASS
        if code >= 0:
            text = f"the worker process ended with exit code {code}"
            if ready:
                return f"{text}. The model's code, or a library that it uses, called exit"
            return (
                f"{text} before the model was set up. The model's code, or a library that it uses, called exit, or "
                f"{self._program} is no Python 3.10 or later that can start (COG_WORKER_PYTHON chooses another)"
            )
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"the worker process was killed by {name}{_WHY.get(-code, '')}"


def _socketpair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return ours.enter_context(one), theirs.enter_context(other)


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


# What is said when the channel is not what it was, which only code inside the worker can do.
TRESPASS: Final = (
    "model code closed, read or wrote a descriptor that it did not open (os.closerange, os.close, os.write): it was "
    "the worker's channel to the server, so the worker was ended"
)

_WHY: Final[dict[int, str]] = {
    signal.SIGKILL: ". Usually the system ran out of memory; `dmesg` or the container's events tell",
    signal.SIGSEGV: ". C code that the model uses accessed memory that is not its own; the logs show where Python was",
    signal.SIGABRT: ". C code that the model uses gave up, often after an assertion or a failed allocation",
    signal.SIGBUS: ". A memory-mapped file was cut short, or shared memory (/dev/shm) is full",
    signal.SIGILL: ". C code that the model uses was built for another processor",
}
