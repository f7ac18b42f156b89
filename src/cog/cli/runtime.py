"""Starts the server of a model as a process of its own, which never outlives the command."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

from cog.cli.project import Project
from cog.environment.environment import Environment

ENDING: Final = 10.0  # seconds that a server gets to end after it was told to; its workers take up to 3


@dataclass(frozen=True, slots=True)
class Runtime:
    """A server that was started: it accepts connections at `url` from the first moment on."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def log(self) -> IO[bytes] | None:
        """What the server writes, where it was asked for."""
        return self.process.stderr

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None


def command(project: Project, *flags: str) -> list[str]:
    """The command line of a server for the model of `project`."""
    return [sys.executable, "-m", "cog.server.http", "--config", str(project.path), *flags]


def variables(project: Project, environment: Environment, env: tuple[str, ...] = ()) -> dict[str, str]:
    """What a server of this project, and so its model, finds in its environment."""
    own = environment.variables({**os.environ, **project.variables(env)})
    return {**own, "COG_WORKER_PYTHON": str(environment.python)}


@contextlib.contextmanager
def private(project: Project, variables: Mapping[str, str], flags: Sequence[str] = ()) -> Iterator[Runtime]:
    """A server for this command alone, on a port of 127.0.0.1 that the system chooses. It ends with the block.

    It is in a process group of its own, so that Ctrl-C on a terminal reaches only the command, and ends by
    itself when the command is killed.
    """
    theirs, ours = os.pipe()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            command(project, "--fd", str(listening.fileno()), "--owner-fd", str(theirs), *flags),
            cwd=project.folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(listening.fileno(), theirs),
            start_new_session=True,
        )
    os.close(theirs)
    try:
        yield Runtime(process, f"http://127.0.0.1:{port}")
    finally:
        _end(process)
        os.close(ours)
        if process.stderr is not None:
            process.stderr.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(ENDING)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()  # its workers end with it
        process.wait()
