"""`cog run --url`: a server that runs already, one of ours or an older one."""

from __future__ import annotations

import contextlib
import http.server
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from conftest import Serve
from support.cogs import cog, started
from support.serving import Server

MODEL = """
import json, os, time
from typing import Optional
from cog import BaseModel, BaseRunner, ConcatenateIterator, Input, Path, concurrent


class Runner(BaseRunner):
    @concurrent(max=4)
    async def run(
        self,
        words: list[str] = Input(default=[]),
        image: Path = None,
        kind: str = Input(default="words", choices=["words", "hold", "fail"]),
        big: int = 0,
    ) -> ConcatenateIterator[str]:
        import asyncio
        print("asked for", kind)
        for word in words:
            yield word
        if image is not None:
            yield image.read_text()
        yield "x" * big
        while kind == "hold":
            await asyncio.sleep(0.01)
        if kind == "fail":
            raise ValueError("bad thing")
"""


@pytest.fixture(scope="module")
def server(serve_once: Serve) -> Server:
    return serve_once(MODEL)


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Any:
    return lambda *arguments, **how: cog(tmp_path, "run", "--url", server.url, *arguments, **how)


def test_text_prints_and_files(run: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("from a file")
    result = run("-i", "words=a", "-i", "words= ü\n", "-i", "image=@in.txt")
    assert (result.returncode, result.stdout) == (0, "a ü\nfrom a file")
    assert result.stderr == "asked for words\n"


def test_ten_megabytes_arrive_whole(run: Any) -> None:
    result = run("-i", f"big={10 << 20}")
    assert (result.returncode, len(result.stdout)) == (0, 10 << 20)


def test_what_was_put_out_before_a_failure_stays(run: Any) -> None:
    result = run("-i", "words=partial", "-i", "kind=fail")
    assert (result.returncode, result.stdout) == (1, "partial")
    assert "Traceback (most recent call last):" in result.stderr
    assert result.stderr.endswith("error: Prediction failed: ValueError: bad thing\n")


def test_the_document_of_the_server_checks_the_input(run: Any) -> None:
    result = run("-i", "kind=word", "-i", "wrds=a", "-i", "big=1.5")
    assert result.returncode == 1
    for text in ("- -i kind=word", "Did you mean words?", "- -i big=1.5"):
        assert text in result.stderr


def test_ctrl_c_cancels_it_there(server: Server, tmp_path: Path) -> None:
    with started(tmp_path, "run", "--url", server.url, "-i", "kind=hold", "-i", "words=now") as command:
        command.wait_written("now", on="out")
        command.signal(signal.SIGINT)
        assert command.wait() == 130
    newest = server.get("/predictions").json()["results"][0]
    assert newest["status"] == "canceled"


def test_what_concerns_a_model_of_this_folder_is_refused(run: Any) -> None:
    result = run("-e", "A=1", "--no-env")
    assert result.returncode == 1
    assert "-e and --no-env say how a model is started here" in result.stderr


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1", "No answer from http://127.0.0.1:1: Connection refused"),
        ("ftp://127.0.0.1", "write it as http://127.0.0.1:8393"),
        ("http://127.0.0.1:x", "write it as http"),
    ],
)
def test_a_server_that_is_none(tmp_path: Path, url: str, told: str) -> None:
    result = cog(tmp_path, "run", "--url", url)
    assert result.returncode == 1
    assert told.lower() in result.stderr.lower()


class Old(http.server.BaseHTTPRequestHandler):
    """An older server of Cog: no polling, no events; a prediction is answered when it has ended."""

    protocol_version = "HTTP/1.1"
    prediction: ClassVar[dict[str, Any]] = {}
    state: ClassVar[str] = "READY"
    schema: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[dict[str, Any]]] = []
    canceled: ClassVar[threading.Event] = threading.Event()
    held: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/base/health-check":
            self.answer(
                200, {"status": self.state, "setup": {"status": "failed", "logs": "RuntimeError: no gpu"}}
            )
        elif self.path == "/base/openapi.json":
            self.answer(
                200, {"paths": {"/predictions": {"post": {}}}, "components": {"schemas": self.schema}}
            )
        elif self.path == "/moved/ready":
            self.answer(307, {}, location="/base/ready")
        else:
            self.answer(404, None)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/cancel"):
            self.canceled.set()
            self.answer(200, {})
            return
        assert self.headers["Prefer"] is None  # a 202 of an old server is a result that nobody can ever have
        self.asked.append(body)
        if body["input"].get("hold"):
            self.held.set()
            self.canceled.wait(30)
        if self.prediction.get("detail"):
            self.answer(422, self.prediction)
        else:
            self.answer(200, {"id": body["id"], **self.prediction})

    def answer(self, status: int, document: Any, **headers: str) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def old() -> Iterator[tuple[str, type[Old]]]:
    class Mine(Old):
        asked: ClassVar[list[dict[str, Any]]] = []
        canceled: ClassVar[threading.Event] = threading.Event()
        held: ClassVar[threading.Event] = threading.Event()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/base/", Mine
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


INPUT = {"Input": {"type": "object", "properties": {"text": {"type": "string"}, "hold": {"type": "boolean"}}}}


def test_an_older_server_is_asked_once_and_waited_for(old: tuple[str, type[Old]], tmp_path: Path) -> None:
    url, server = old
    server.schema = INPUT | {"Output": {"type": "array", "items": {"type": "string", "format": "uri"}}}
    server.prediction = {
        "status": "succeeded", "logs": "hi\n", "metrics": {}, "output": ["data:image/png;base64,AAEC", "data:text/plain;base64,"],
    }  # fmt: skip
    result = cog(tmp_path, "run", "--url", url, "-i", "text=a")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "hi\nWritten output to output.0.png\nWritten output to output.1.txt\n"
    assert (tmp_path / "output.0.png").read_bytes() == b"\0\1\2"
    assert [asked["input"] for asked in server.asked] == [{"text": "a"}]


def test_ctrl_c_cancels_on_an_older_server_too(old: tuple[str, type[Old]], tmp_path: Path) -> None:
    url, server = old
    server.schema, server.prediction = INPUT, {"status": "canceled", "logs": ""}
    with started(tmp_path, "run", "--url", url, "-i", "hold=true") as command:
        assert server.held.wait(30)
        command.signal(signal.SIGINT)
        assert command.wait() == 130
    assert server.canceled.is_set()


def test_the_details_of_a_refusal_are_listed(old: tuple[str, type[Old]], tmp_path: Path) -> None:
    url, server = old
    server.prediction = {
        "detail": [
            {"loc": ["body", "input", "prompt"], "msg": "Field required", "type": "value_error.missing"},
            {"loc": ["body", "input", "l", 0], "msg": "bad", "type": "value_error"},
        ]
    }
    result = cog(tmp_path, "run", "--url", url)
    assert result.returncode == 1
    assert "\n  - prompt: Field required\n  - l.0: bad\n" in result.stderr


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("SETUP_FAILED", "RuntimeError: no gpu\nerror: Model setup failed: RuntimeError: no gpu\n"),
        ("DEFUNCT", "the server says DEFUNCT"),
        ("STARTING", "Timed out"),
    ],
)
def test_a_model_that_cannot_be_asked(
    old: tuple[str, type[Old]], tmp_path: Path, state: str, told: str
) -> None:
    url, server = old
    server.state = state
    result = cog(tmp_path, "run", "--url", url, "--setup-timeout", "0.2")
    assert result.returncode == 1
    assert told in result.stderr


@pytest.mark.parametrize("state", ["BUSY", "UNHEALTHY"])
def test_a_busy_or_unhealthy_model_is_asked_all_the_same(
    old: tuple[str, type[Old]], tmp_path: Path, state: str
) -> None:
    """J32."""
    url, server = old
    server.state, server.prediction = state, {"status": "succeeded", "output": "yes"}
    assert cog(tmp_path, "run", "--url", url).stdout == "yes"


def test_a_redirect_is_told_not_followed(old: tuple[str, type[Old]], tmp_path: Path) -> None:
    result = cog(tmp_path, "run", "--url", old[0].replace("/base/", "/moved"))
    assert result.returncode == 1
    assert "answers /ready with a redirect (307) to /base/ready" in result.stderr
