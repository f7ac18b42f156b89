"""One container: started for the time of a command, and gone with it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from cog.cli.project import Project
from cog.errors import ModelFailed

if TYPE_CHECKING:
    from cog.image.engine import Engine

PORT: Final = 5000  # where a server listens in a container
ENDING: Final = (
    15.0  # seconds that a container gets to end in order; its server cancels what runs, its workers take 3
)
_LOOK: Final = 0.05  # seconds between two looks at a container that starts
# Asks Linux for a SIGTERM when this command is killed (PR_SET_PDEATHSIG of linux/prctl.h), and turns into the engine, which
# then ends its container.
_MORTAL: Final = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 15)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_SHOWN: Final = 20  # lines of a container that did not start


class Container:
    """A container that runs in the foreground of a process of ours. `url` is where its server is."""

    def __init__(
        self, engine: Engine, name: str, process: subprocess.Popen[bytes], url: str, written: IO[bytes]
    ) -> None:
        """`written` is the file that all its output goes to."""
        self.url = url
        self._engine = engine
        self._name = name
        self._process = process
        self._written = written

    def look(self) -> None:
        """Raises:
        ModelFailed: it has ended.
        """
        if self._process.poll() is not None:
            code = self._process.returncode
            raise ModelFailed(f"The container ended unexpectedly, with exit code {code}.{self._said()}")

    def wait(self, timeout: float) -> None:
        """Return when its server answers.

        Raises:
            ModelFailed: it has ended, or does not answer within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        parts = self.url.rpartition(":")
        while True:
            self.look()
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", int(parts[2])), 1.0) as probe,
            ):
                # Engines listen on a published port before the server in the container does.
                probe.settimeout(1.0)
                probe.sendall(b"GET /health-check HTTP/1.0\r\n\r\n")
                if probe.recv(1):
                    return
            if time.monotonic() > deadline:
                raise ModelFailed(
                    f"Timed out: no server answers in the container within {timeout:g} seconds.{self._said()}"
                )
            time.sleep(_LOOK)

    def _said(self) -> str:
        """The last lines of what it wrote, and what to do about it."""
        from cog.image import advice

        self._written.seek(0)
        text = self._written.read().decode("utf-8", "replace")
        shown = "".join(f"\n  {line}" for line in text.splitlines()[-_SHOWN:])
        return "\n".join([shown, *advice.of(text)])

    def end(self) -> None:
        """End it in order, and remove it in any case."""
        from cog.image import calls

        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()
        calls.answer(self._engine.remove(self._name))  # there is none any more, unless it was killed


@contextlib.contextmanager
def started(
    engine: Engine, image: str, own: Mapping[str, str], project: Project | None, *, gpus: str | None
) -> Iterator[Container]:
    """A container of `image` for the time of the block, with the folder of `project` at /src, if there is one.

    Its server is reached on a port of 127.0.0.1. It ends with the block, and when this command is killed.
    """
    from cog.image import names
    from cog.image.engine import RunOrder

    port = _free_port()
    order = RunOrder(
        image,
        names.passing("run"),
        env=tuple(own),
        publish=(f"127.0.0.1:{port}:{PORT}",),
        volumes=mounted(project),
        gpus=gpus,
    )
    with tempfile.TemporaryFile() as written:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _MORTAL, *engine.run(order)],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,  # so that Ctrl-C on a terminal reaches only the command
        )
        container = Container(engine, order.name, process, f"http://127.0.0.1:{port}", written)
        try:
            yield container
        finally:
            container.end()


def mounted(project: Project | None) -> tuple[tuple[Path, str], ...]:
    """The folder of `project` at /src, if there is one."""
    return () if project is None else ((project.folder.resolve(), "/src"),)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
