"""A server in a container, where a test expects one of this machine: `COG_TESTS_IMAGE` names the image.

What a test does to the server's process, it does to the one in the container. Containers of tests number processes as this
machine does (`--pid host`), so that what a model says of them and what a test sees is the same; that the first process
of a container of its own is tini, and reaps, is for `tests/containers/test_built.py`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

IMAGE: Final = os.environ.get("COG_TESTS_IMAGE")
_BEFORE: Final = dict(os.environ)
_TEMPORARY: Final = Path(tempfile.gettempdir())


class Contained:
    """What `subprocess.Popen` is for a server of this machine: its process id, its signals, its end."""

    def __init__(
        self, image: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        """`environment` is what a server of this machine would get; the container gets what differs from that of pytest."""
        self.args = list(command)
        self._name = f"test-{secrets.token_hex(6)}"
        self._place = tempfile.TemporaryDirectory(prefix="cog-contained-")
        self._pidfile = Path(self._place.name) / "pid"
        self._pid: int | None = None
        own = [name for name, value in environment.items() if _BEFORE.get(name) != value]
        files = ":".join(map(str, resource.getrlimit(resource.RLIMIT_NOFILE)))
        limits = (
            f"nofile={files}",
            "nproc=4096:4096",
        )  # the second as in containers.conf: they stand for all together
        self._podman = subprocess.Popen(
            [
                "podman", "run", "--rm", "--name", self._name, "--pidfile", str(self._pidfile), "--network", "host",
                "--pid", "host", "--env", "TINI_SUBREAPER=",  # as if it were the first process
                "--log-driver", "none", "--unsetenv", "COG_PREDICT_TYPE_STUB",
                *(word for limit in limits for word in ("--ulimit", limit)),
                *(word for name in own for word in ("--env", name)),
                *(word for place in _places(folder, environment) for word in ("--volume", f"{place}:{place}")),
                "--workdir", str(folder), image, *command,
            ],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        self.stderr: IO[bytes] | None = self._podman.stderr

    @property
    def pid(self) -> int:
        """The server's process: the child of the container's first one, which is tini."""
        if self._pid is None:
            first = int(self._pidfile.read_text())
            self._pid = int(Path(f"/proc/{first}/task/{first}/children").read_text().split()[0])
            assert Path(f"/proc/{self._pid}/root/opt/cog/server").is_dir(), "it runs in no container"
        return self._pid

    @property
    def returncode(self) -> int | None:
        """As `Popen` has it."""
        return _code(self._podman.returncode)

    def poll(self) -> int | None:
        """As `Popen` has it."""
        return _code(self._podman.poll())

    def wait(self, timeout: float | None = None) -> int:
        """As `Popen` has it."""
        code = _code(self._podman.wait(timeout))
        assert code is not None
        self._place.cleanup()
        return code

    def send_signal(self, number: int) -> None:
        """As `Popen` has it."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """As `Popen` has it."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As `Popen` has it; one that has no server yet goes as a whole."""
        if self._pid is not None:
            self.send_signal(signal.SIGKILL)
        else:
            subprocess.run(
                ["podman", "rm", "--force", "--time", "0", self._name], capture_output=True, check=False
            )


def _places(folder: Path, environment: Mapping[str, str]) -> list[Path]:
    """What both see: the model's folder, and temporary files, which most of these folders are among."""
    wanted = [_TEMPORARY, folder.resolve(), Path(environment["TMPDIR"])]
    return [_TEMPORARY, *(place for place in wanted if not place.is_relative_to(_TEMPORARY))]


def _code(code: int | None) -> int | None:
    """Containers tell a kill as shells do."""
    return -9 if code == 137 else code
