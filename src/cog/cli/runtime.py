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
from cog.errors import SettingError
from cog.files import owned

ENDING: Final = 10.0  # seconds that a server gets to end in order; its workers take up to 3
AT_ONCE: Final = 3.0  # seconds to kill the workers with all their children, and to remove its files
# Of a socket the system takes no path that has more than about 100 bytes.
_SOCKET: Final = "s"
_SHORT: Final = "/tmp"

# `python -m cog.server.http`, but for the current folder, which Python would put before its own library: that of a model
# may well hold a queue.py.
_START: Final = "import os, sys; sys.path[:1] == [''] and sys.path.pop(0); from cog.server.http import main; os._exit(main())"


class Runtime:
    """A server that was started: it accepts connections at `socket` from the first moment on. `folder` is for what it
    may be handed; both are for this user alone, and gone with the command."""

    def __init__(self, process: subprocess.Popen[bytes], owner: int, flags: tuple[str, ...]) -> None:
        """`owner` is the end of a pipe: the server ends at once when it is closed, however that comes. `flags` tell it
        of that, and of its socket."""
        self.process = process
        self.folder = ""
        self._owner: int | None = owner
        self._flags = flags

    @property
    def socket(self) -> str:
        """The path of the socket that it listens on."""
        return os.path.join(self.folder, _SOCKET)

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
    """A server for this command alone: on a socket in a folder that no other user can enter, since it opens any file
    for whoever asks it. It ends with the block: in order, or at once when the block ends with an error or an interrupt.

    It starts now and does nothing until it has its orders. It is in a process group of its own, so that Ctrl-C on a
    terminal reaches only the command, and ends by itself when the command is killed.

    Raises:
        SettingError: there is no folder for temporary files.
    """
    theirs, ours = os.pipe()
    with contextlib.ExitStack() as stack:
        with socket.socket(socket.AF_UNIX) as listening:
            process = subprocess.Popen(
                command("--orders"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(listening.fileno(), theirs),
                start_new_session=True,
            )
            os.close(theirs)
            runtime = Runtime(process, ours, ("--fd", str(listening.fileno()), "--owner-fd", str(theirs)))
            stack.callback(runtime.log.close)
            stack.callback(runtime.end_at_once)
            runtime.folder = _place(listening, stack)
        stack.callback(runtime.end_at_once)  # before the folder goes
        yield runtime
        runtime.end()


def _place(listening: socket.socket, stack: contextlib.ExitStack) -> str:
    """Let the socket listen in a folder of its own: where temporary files go, unless a socket cannot lie there."""
    folder = stack.enter_context(_folder(os.environ.get("TMPDIR") or _SHORT))
    try:
        listening.bind(os.path.join(folder, _SOCKET))
    except OSError:  # a path of more than about 100 bytes, or a disk that knows no sockets
        folder = stack.enter_context(_folder(_SHORT))
        try:
            listening.bind(os.path.join(folder, _SOCKET))
        except OSError as error:
            raise _unusable(_SHORT, error) from error
    listening.listen()
    return folder


@contextlib.contextmanager
def _folder(parent: str) -> Iterator[str]:
    """A folder for the block. If this command is killed the next server removes it."""
    try:
        path, lock = owned.make(parent)
    except OSError as error:
        raise _unusable(parent, error) from error
    try:
        yield path
    finally:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(path, _SOCKET))
            os.rmdir(path)
        except OSError:  # more lies in it
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _unusable(parent: str, error: OSError) -> SettingError:
    from cog.files.folders import unusable  # here: nobody who has to start quickly gets here

    return unusable(parent, error)
