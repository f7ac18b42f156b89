"""The servers that are compared: this one, and the released Cog in a virtual environment of its own.

The other one is `cog` and `coglet` as the package registry has them; its environment is made once, in `.venv-reference`.
It streams only what a schema file in the model's folder says that it streams: that file is our own document of the
same model.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from uv import find_uv_bin

RELEASE = "0.23.1"
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".venv-reference"
# Seconds for a server to come up.
PATIENCE = 60


class Contestant(NamedTuple):
    """A server, by the Python that has it."""

    name: str
    python: str
    ours: bool


class Running(NamedTuple):
    """A server that is ready."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """The processes that run the model: the children of the server."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.pid:
                    found.append(int(stat.parent.name))
        return found


OURS = Contestant("this one", sys.executable, True)


def reference() -> Contestant:
    """The released one; its environment is made where it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "made").exists():
        uv = find_uv_bin()
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT], check=True
        )
        packages = [f"cog=={RELEASE}", f"coglet=={RELEASE}"]
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
        (ENVIRONMENT / "made").touch()
    return Contestant(f"Cog {RELEASE}", str(python), False)


def write_model(folder: Path, source: str) -> None:
    """A model as any server takes it, with the schema file that other servers need."""
    (folder / "run.py").write_text(source)
    (folder / "cog.yaml").write_text('run: "run.py:Runner"\n')
    with serving(OURS, folder) as server, urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
        document = answer.read()
    (folder / ".cog").mkdir(exist_ok=True)
    (folder / ".cog" / "openapi_schema.json").write_bytes(document)


@contextlib.contextmanager
def serving(contestant: Contestant, folder: Path, environment: Mapping[str, str] = {}) -> Iterator[Running]:
    """The model in `folder` behind that server, with one copy of it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    variables = {
        **os.environ,
        "PORT": str(port),
        "LOG_FORMAT": "json",
        "COG_LOG_LEVEL": "error",
        **environment,
    }
    variables["COG_PREDICT_TYPE_STUB"] = "run.py:Runner"
    if not contestant.ours:
        variables.pop("PYTHONPATH", None)  # it has a `cog` of its own
    # The other one starts its worker with the first `python` that it finds.
    variables["PATH"] = f"{Path(contestant.python).parent}{os.pathsep}{variables['PATH']}"
    command = [contestant.python, "-m", "cog.server.http", "--host", "127.0.0.1", "--threads", "1"]
    process = subprocess.Popen(command, cwd=folder, env=variables)
    try:
        server = Running(port, process.pid)
        deadline = time.monotonic() + PATIENCE
        while state(server) != "READY":
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{contestant.name} ({contestant.python}) does not serve {folder}")
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def state(server: Running) -> str:
    """What the health check says."""
    try:
        with urllib.request.urlopen(f"{server.url}/health-check", timeout=10) as answer:
            return str(json.load(answer)["status"])
    except (urllib.error.URLError, OSError):
        return "DOWN"


def mebibytes(pid: int, field: str = "VmHWM") -> float:
    """Memory of a process, as Linux counts it; without `field` the most that it has ever had."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def processor_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
