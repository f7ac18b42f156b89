"""Starts the server of a model as a process of its own, which never outlives the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from cog.cli.project import Project
from cog.environment.environment import Environment

ENDING: Final = 10.0  # seconds that a server gets to end in order; its workers take up to 3
AT_ONCE: Final = 3.0  # seconds to kill the workers with all their children, and to remove its files

# `python -m cog.server.http`, but for the current folder, which Python would put before its own library: that of a model
# may well hold a queue.py.
_START: Final = "import os, sys; sys.path[:1] == [''] and sys.path.pop(0); from cog.server.http import main; os._exit(main())"


class Runtime:
    """A server that was started: it accepts connections at `url` from the first moment on."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, owner: int, flags: tuple[str, ...]
    ) -> None:
        """`owner` is the end of a pipe: the server ends at once when it is closed, however that comes. `flags` tell it
        of that, and of its socket."""
        self.process = process
        self.url = url
        self._owner: int | None = owner
        self._flags = flags

    @property
    def log(self) -> IO[bytes]:
        """What the server writes, and all that the model prints."""
        assert self.process.stderr is not None
        return self.process.stderr

    @property
    def ended(self) -> int | None:
        """The exit code of the process; None while it runs."""
        return self.process.poll()

    def order(self, folder: Path, variables: Mapping[str, str], flags: Sequence[str]) -> None:
        """Tell it what to do: the folder of the model, its environment, and the flags of a server."""
        orders = {
            "arguments": [*self._flags, *flags],
            "environment": dict(variables),
            "folder": str(folder),
        }
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(json.dumps(orders).encode())

    def release(self) -> None:
        """Let it load the model, if it was told to `--hold`."""
        if self._owner is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended: whoever asks it next will tell
                os.write(self._owner, b".")

    def wait_ended(self, timeout: float) -> None:
        """Wait until it has ended, for `timeout` seconds at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)

    def end(self) -> None:
        """End it in order: the model's process may clean up."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self.wait_ended(ENDING)

    def end_at_once(self) -> None:
        """End it and all that it started without asking; nothing is left when this returns. May be called again."""
        assert self.process.stdin is not None
        if not self.process.stdin.closed:  # it has no orders yet, and so has made nothing
            self.process.kill()
            self.process.stdin.close()
        if self._owner is not None:
            owner, self._owner = self._owner, None
            os.close(owner)
        try:
            self.process.wait(AT_ONCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.process.kill()  # its workers end with it
            self.process.wait()


def command(*flags: str) -> list[str]:
    """The command line of a server."""
    return [sys.executable, "-c", _START, *flags]


def variables(project: Project, environment: Environment, env: tuple[str, ...] = ()) -> dict[str, str]:
    """What a server of this project, and so its model, finds in its environment."""
    own = environment.variables({**os.environ, **project.variables(env)})
    return {**own, "COG_WORKER_PYTHON": str(environment.python)}


@contextlib.contextmanager
def private() -> Iterator[Runtime]:
    """A server for this command alone, on a port of 127.0.0.1 that the system chooses. It ends with the block: in
    order, or at once when the block ends with an error or an interrupt.

    It starts now and does nothing until it has its orders. It is in a process group of its own, so that Ctrl-C on a
    terminal reaches only the command, and ends by itself when the command is killed.
    """
    theirs, ours = os.pipe()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            command("--orders"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(listening.fileno(), theirs),
            start_new_session=True,
        )
        flags = ("--fd", str(listening.fileno()), "--owner-fd", str(theirs))
    os.close(theirs)
    runtime = Runtime(process, f"http://127.0.0.1:{port}", ours, flags)
    try:
        yield runtime
        runtime.end()
    finally:
        runtime.end_at_once()
        runtime.log.close()
