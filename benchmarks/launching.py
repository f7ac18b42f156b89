"""Starts a contestant's server, waits until it gives right answers, and leaves no process of it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import processes
from benchmarks.contestant import Server, Speech
from benchmarks.works import Input, Work

PATIENCE: Final = 120.0  # seconds for a server to come up; Ray Serve takes 10 on an idle machine, a model with torch as long
ENDING: Final = 30.0  # seconds to end after SIGTERM
CHECKED: Final = 4  # inputs; an embedding takes a while
PAUSE: Final = 0.004  # seconds between two looks at a server that comes up


class Failed(Exception):
    """A contestant did not come up, or an answer was wrong."""


@dataclass(frozen=True)
class Launch:
    """How a server is started. `command` is made from the port, `files` are in the folder it runs in; with `health` it is
    ready when that address says READY, else when it answers the work's first input."""

    command: Callable[[str], Sequence[str]]
    files: Mapping[str, str]
    path: str
    speech: Speech
    health: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def launched(title: str, launch: Launch, work: Work) -> Iterator[Server]:
    """The server, as soon as it has answered the work's first inputs rightly.

    Raises:
        Failed: it does not come up, or an answer is wrong, now or in what is done with it; its output is shown.
    """
    with tempfile.TemporaryDirectory(prefix="cog-benchmark-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        for path, text in launch.files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        log = stack.enter_context((folder / "server.log").open("w+"))
        try:
            yield _ready(launch, work, folder, log.fileno(), stack)
        except (OSError, ValueError, http.client.HTTPException) as error:
            log.seek(0)
            print("".join(log.readlines()[-15:]), file=sys.stderr)
            raise Failed(
                f"{title} failed at {work.name}: {error!r}. The end of its output is above."
            ) from error


def _ready(launch: Launch, work: Work, folder: Path, log: int, stack: contextlib.ExitStack) -> Server:
    port, mark = free_port(), uuid.uuid4().hex
    environment = _environment(launch, port, mark)
    begun = time.monotonic()
    process = subprocess.Popen(
        launch.command(str(port)), cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    stack.callback(_stop, process, mark)
    server = Server(port, process.pid, mark, launch.path, launch.speech)
    while not _is_ready(server, launch.health, work.inputs[0]):
        if time.monotonic() > begun + PATIENCE or process.poll() is not None:
            raise TimeoutError("it does not come up")
        time.sleep(PAUSE)
    server = dataclasses.replace(server, started=time.monotonic() - begun)
    check(server, work)
    return server


def _environment(launch: Launch, port: int, mark: str) -> dict[str, str]:
    """What a contestant finds: nothing of the environment that the benchmark runs in."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COG_", "VIRTUAL_ENV"))
    }
    python = Path(launch.command(str(port))[0])
    return {
        **kept,
        # One of them starts its worker with the first `python` that it finds.
        "PATH": f"{python.parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "PORT": str(port),
        processes.MARK: mark,
        **launch.variables,
    }


def _stop(process: subprocess.Popen[bytes], mark: str) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDING)
    processes.end(mark)
    process.wait()


def _is_ready(server: Server, health: str, input: Input) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        if health:
            status, body = ask(server, "GET", health)
            return status == 200 and json.loads(body)["status"] == "READY"
        return ask(server, "POST", server.path, server.body(input))[0] == 200
    return False


def check(server: Server, work: Work) -> None:
    """The first inputs of the work get the right answers.

    Raises:
        ValueError: one did not.
    """
    for input in work.inputs[:CHECKED]:
        status, answer = patiently(server, server.body(input))
        if status != 200 or not work.right(input, server.output(answer)):
            raise ValueError(f"{input} was answered with {status} {answer[:300]!r}")


def patiently(server: Server, body: bytes) -> tuple[int, bytes]:
    """Ask for a prediction, again while there is no place: some servers refuse right after the answer before."""
    deadline = time.monotonic() + ENDING
    while True:
        status, answer = ask(server, "POST", server.path, body)
        if status not in (409, 429, 503) or time.monotonic() > deadline:
            return status, answer
        time.sleep(PAUSE)


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ENDING)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
