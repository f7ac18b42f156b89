"""A real server process for tests, and a plain HTTP client to talk to it."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.contained import IMAGE, Contained

# A machine that others use too may be slow; whoever waits for an event that comes does not wait for so long.
DEADLINE = 60.0


@dataclass(frozen=True)
class Response:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    url: str,
    method: str = "GET",
    *,
    json_body: Any = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = DEADLINE,
) -> Response:
    """One HTTP request on a connection of its own."""
    parts = urlsplit(url)
    sent = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
        sent.setdefault("content-type", "application/json")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body=body, headers=sent)
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass
class Server:
    """A server process, its log, and its model's folder."""

    process: subprocess.Popen[bytes] | Contained
    folder: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _raw: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def read_log(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            text = raw.decode("utf-8", "replace").rstrip("\n")
            with self._changed:
                self._raw.append(text)
                with contextlib.suppress(ValueError):
                    self.lines.append(json.loads(text))
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def log(self) -> str:
        """Everything that the server has written so far."""
        with self._changed:
            return "\n".join(self._raw)

    def messages(self) -> list[str]:
        """The messages of the log so far."""
        with self._changed:
            return [str(line["fields"]["message"]) for line in self.lines]

    def take_lines(self) -> list[dict[str, Any]]:
        """What was logged since the last time. It is forgotten: a test of many minutes would keep it all otherwise."""
        with self._changed:
            taken = self.lines[:]
            self.lines.clear()
            self._raw.clear()
        return taken

    def wait_log(self, text: str, timeout: float = DEADLINE) -> None:
        """Return when `text` is in the log; fail when it is not within `timeout` seconds or the server has ended."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not any(text in line for line in self._raw):
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    raise AssertionError(f"{text!r} is not in the log:\n" + "\n".join(self._raw))
                self._changed.wait(left)

    def call(self, method: str, path: str, json_body: Any = None, **more: Any) -> Response:
        return request(self.url + path, method, json_body=json_body, **more)

    def get(self, path: str, **more: Any) -> Response:
        return self.call("GET", path, **more)

    def predict(self, input: Any = None, **more: Any) -> Response:
        """POST /predictions with this input; `more` may hold `headers` and further fields of the body in `fields`."""
        fields = more.pop("fields", {})
        return self.call("POST", "/predictions", {"input": {} if input is None else input, **fields}, **more)

    def start_async(self, input: Any = None, **fields: Any) -> str:
        """Start a prediction with Prefer: respond-async; gives its id."""
        answer = self.predict(input, fields=fields, headers={"prefer": "respond-async"})
        assert answer.status == 202, answer
        return str(answer.json()["id"])

    def health(self) -> Any:
        return self.get("/health-check").json()

    def wait_for(self, prediction_id: str, *statuses: str, timeout: float = DEADLINE) -> Any:
        """The prediction once it has one of `statuses` (any terminal one when none is given)."""
        wanted = statuses or ("succeeded", "failed", "canceled")
        return until(
            lambda: self.get(f"/predictions/{prediction_id}").json(),
            lambda prediction: prediction.get("status") in wanted,
            timeout,
        )

    def wait_health(self, *statuses: str, timeout: float = DEADLINE) -> Any:
        return until(self.health, lambda health: health["status"] in statuses, timeout)

    def wait_file(self, name: str, timeout: float = DEADLINE) -> Path:
        """Return when the model has made the file `name` in its folder."""
        path = self.folder / name
        until(path.exists, bool, timeout)
        return path

    def stop(self, number: int = signal.SIGTERM, timeout: float = DEADLINE) -> int:
        """End the server; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout)
        with self._changed:  # its last words are read; what it has left behind may hold the pipe for longer
            self._changed.wait_for(lambda: self._closed, 2)
        return code

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return children(self.process.pid)


def children(pid: int) -> list[int]:
    """The children of a process that run. The guard of a server's workers is not counted, nor is what has not become a
    program of its own yet, and may be the guard: between fork and exec it has the words of its parent, within exec none."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        own = _words(pid)
        for child in _children(pid):
            with contextlib.suppress(OSError):
                words = _words(child)
                if any(words) and words != own and b"cog-guard" not in words:
                    found.append(child)
    return found


def _children(pid: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                yield int(stat.parent.name)


def _words(pid: int) -> list[bytes]:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def is_guard(pid: int) -> bool:
    """True for the process that kills the workers of a server that is gone."""
    return b"cog-guard" in _words(pid)


def until(look: Callable[[], Any], enough: Callable[[Any], bool], timeout: float = DEADLINE) -> Any:
    """What `look` gives once `enough` says so. Looking is asking the outside, which offers no event to wait for."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if enough(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain; last seen: {seen!r}")
        threading.Event().wait(0.01)


def write_model(folder: Path, source: str, config: str | None = None) -> Path:
    """A model's folder: `run.py` with `source`, and a cog.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(textwrap.dedent(source))
    (folder / "cog.yaml").write_text(config if config is not None else 'run: "run.py:Runner"\n')
    return folder


CLEARED = (
    "PORT",
    "LOG_FORMAT",
    "COG_LOG_LEVEL",
    "COG_PREDICT_TYPE_STUB",
    "COG_MAX_CONCURRENCY",
    "COG_SETUP_TIMEOUT",
)


@contextlib.contextmanager
def serving(
    folder: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
    ready: str | None = "the model is READY",
    python: str | None = None,
) -> Iterator[Server]:
    """A server of the model in `folder` on a free port, in a container when there is an image for these tests.

    `ready` is what to wait for in its log (None: the port only). `python` runs it instead of the one of these tests.

    At the end the server is told to end, and must do so with exit code 0 and without a process left.
    """
    environment = {k: v for k, v in os.environ.items() if k not in CLEARED}
    environment |= {"PORT": "0", "LOG_FORMAT": "json", **(env or {})}
    with tempfile.TemporaryDirectory() as temporary:
        environment.setdefault("TMPDIR", temporary)
        process = _started(folder, flags, environment, python)
        assert process.stderr is not None
        # What a server prints at once is not lost because this machine is busy.
        with contextlib.suppress(OSError):
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 1 << 20)
        server = Server(process, folder)
        reader = threading.Thread(target=server.read_log, daemon=True)
        reader.start()
        try:
            server.wait_log("listening on")
            assert process.pid > 0  # of one in a container it is looked up as long as that is there
            server.url = next(
                line["fields"]["urls"][0] for line in server.lines if "urls" in line.get("fields", {})
            )
            if ready is not None:
                server.wait_log(ready)
            yield server
            workers = server.workers()
            if process.poll() is None:
                assert server.stop() == 0, server.log
                assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
                assert os.listdir(temporary) == [], os.listdir(temporary)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
            process.stderr.close()


def _started(
    folder: Path, flags: tuple[str, ...], environment: dict[str, str], python: str | None
) -> subprocess.Popen[bytes] | Contained:
    words = ("-m", "cog.server.http", "--host", "127.0.0.1", *flags)
    if IMAGE is not None and python is None:
        return Contained(IMAGE, ("python", *words), folder, environment)
    return subprocess.Popen(
        [python or sys.executable, *words], cwd=folder, env=environment, stderr=subprocess.PIPE
    )
