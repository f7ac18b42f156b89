"""J32: what the command line and the reading of a model's source got wrong."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.serving import Server, write_model
from support.typed import called, typed

MODEL = r"""
import os
from typing import Any
from cog import BaseRunner, Input

LOW = 2 + 1


def word() -> str:
    return "wo" + "rd"


class Runner(BaseRunner):
    def run(
        self,
        text: str = "a\nb\t\"c\"",
        number: int = Input(default=LOW, ge=LOW - 1, le=2 ** 40),
        share: float = 0.5,
        home: str = Input(default=word()),
        five: int = Input(5),
    ) -> Any:
        return [text, number, share, home, five]
"""


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(MODEL)


@pytest.mark.parametrize(
    ("number", "share"),
    [
        ("2147483648", "0.1"),  # above 32 bits; 0.10000000149011612 with 32
        ("1099511627776", "16777217.5"),
    ],
)
def test_j32_numbers_of_the_command_line_arrive_as_they_were_typed(
    server: Server, tmp_path: Path, number: str, share: str
) -> None:
    ended = typed(
        "run", "--url", server.url, "-i", f"number={number}", "-i", f"share={share}", folder=tmp_path
    )
    assert ended.code == 0, ended.err
    assert [repr(each) for each in json.loads(ended.out)[1:3]] == [number, share]


def test_j32_what_a_model_computes_is_in_its_document(server: Server) -> None:
    """Escapes are read, limits need not be literals, a default that is computed or given by its place is one."""
    inputs = server.get("/openapi.json").json()["components"]["schemas"]["Input"]
    assert "required" not in inputs
    found = inputs["properties"]
    assert {name: property["default"] for name, property in found.items()} == {
        "text": 'a\nb\t"c"', "number": 3, "share": 0.5, "home": "word", "five": 5,
    }  # fmt: skip
    assert (found["number"]["minimum"], found["number"]["maximum"]) == (2, 2**40)
    assert server.predict({}).json()["output"] == ['a\nb\t"c"', 3, 0.5, "word", 5]


def test_j32_the_command_line_reads_the_same(tmp_path: Path) -> None:
    """What the source does not say for sure is left to the model; nothing that it accepts is refused before."""
    folder = write_model(tmp_path, MODEL)
    told = called("run", "--help", folder=folder).out
    assert "number=N" in told
    assert "required" not in told
    refused = called("run", "--no-env", "-i", "number=1", "-i", "five=x", folder=folder)
    assert refused.code == 1
    assert "number=1" in refused.err
    assert "five=x" in refused.err


def test_j32_a_value_with_spaces_reaches_the_model_whole(tmp_path: Path) -> None:
    value = "two  words, a 'quote' and a \"second\" $HOME #1"
    config = "environment:\n  - " + json.dumps(f"GREETING={value}") + '\n  - "EMPTY="\n'
    folder = write_model(tmp_path, MODEL, config)
    ended = typed("exec", "--no-env", "printenv", "GREETING", "EMPTY", folder=folder)
    assert (ended.code, ended.out) == (0, f"{value}\n\n")


class Slow(http.server.BaseHTTPRequestHandler):
    """A server that says READY after half a second, twice what the reference waits for."""

    def do_GET(self) -> None:
        if self.path == "/health-check":
            time.sleep(0.5)  # this is the defect's reproduction
            self.answer({"status": "READY"})
        else:
            self.answer({})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"status": "succeeded", "output": "yes"})

    def answer(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_j32_a_slow_answer_about_health_is_waited_for(slow: str, tmp_path: Path) -> None:
    ended = typed("run", "--url", slow, folder=tmp_path)
    assert (ended.code, ended.out) == (0, "yes"), ended.err
