"""One operating-system process for a worker: its two sockets, its two pipes, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cog.errors import WorkerDied

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
        data, data_child = socket.socketpair()
        control, control_child = socket.socketpair()
        out, out_child = os.pipe()
        err, err_child = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [*command, "--data", str(data_child.fileno()), "--control", str(control_child.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=out_child,
                stderr=err_child,
                pass_fds=(data_child.fileno(), control_child.fileno()),
                cwd=folder,
                env={name: value for name, value in environment.items() if name not in _WITHHELD},
                start_new_session=True,
            )
        except OSError as error:
            for sock in (data, control):
                sock.close()
            os.close(out)
            os.close(err)
            raise WorkerDied(
                f"the worker cannot be started: {command[0]}: {error.strerror or error}. COG_WORKER_PYTHON, if set, "
                "must name a Python 3.10 or later."
            ) from error
        finally:
            data_child.close()
            control_child.close()
            os.close(out_child)
            os.close(err_child)
        self.data, self.control, self.stdout, self.stderr = data, control, out, err
        for sock in (data, control):
            sock.setblocking(False)
        for fd in (out, err):
            os.set_blocking(fd, False)
        self._watch: int | None = None

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._popen.pid

    def when_ended(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        """Arrange that `call` is called on `loop` once, after the process has ended."""
        if hasattr(os, "pidfd_open"):
            try:
                watch = os.pidfd_open(self.pid)
            except OSError:
                pass  # a kernel without it: wait in a thread
            else:
                self._watch = watch
                loop.add_reader(watch, lambda: self._ended(loop, call))
                return

        def wait() -> None:
            self._popen.wait()
            loop.call_soon_threadsafe(call)

        threading.Thread(target=wait, name="cog-wait", daemon=True).start()

    def _ended(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        if self._watch is not None:
            loop.remove_reader(self._watch)
            os.close(self._watch)
            self._watch = None
        self._popen.wait()
        call()

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

    def obituary(self) -> str:
        """How it ended, in plain words."""
        code = self._popen.returncode
        if code is None:
            return "the worker process closed its channel"
        if code >= 0:
            return f"the worker process ended with exit code {code}. The model's code, or a library that it uses, called exit"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"the worker process was killed by {name}{_WHY.get(-code, '')}"


_WHY: Final[dict[int, str]] = {
    signal.SIGKILL: ". Usually the system ran out of memory; `dmesg` or the container's events tell",
    signal.SIGSEGV: ". C code that the model uses accessed memory that is not its own; the logs show where Python was",
    signal.SIGABRT: ". C code that the model uses gave up, often after an assertion or a failed allocation",
    signal.SIGBUS: ". A memory-mapped file was cut short, or shared memory (/dev/shm) is full",
    signal.SIGILL: ". C code that the model uses was built for another processor",
}
