"""The loads of benchmarks/: what counts as an answer, and what is made of a server that gives wrong ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import processes
from benchmarks.contestant import Speech
from benchmarks.launching import Failed, Launch, launched
from benchmarks.load import QUICK
from benchmarks.loads.webhooks import Messages
from benchmarks.loads.wrk import Latency, Throughput, counted
from benchmarks.works import NOOP

ROOT = Path(__file__).resolve().parents[2]
# Answers 200 to the first request and then to every second one; its answer is an argument.
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Handler.asked += 1
        good = Handler.asked < 10 or Handler.asked % 2
        answer = sys.argv[2].encode() if good else b"busy"
        self.send_response(200 if good else 409)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass

print("the last words", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None and "CI" not in os.environ, reason="wrk is not installed"
)


def half_busy(answer: str) -> Launch:
    return Launch(
        lambda port: (sys.executable, "server.py", port, answer), {"server.py": SERVER}, "/", Speech.BARE
    )


def test_what_wrk_has_seen() -> None:
    found = counted("Running\nSTATUS 409 8300\nSTATUS 200 4800\nRESULT 4000000 20 1500 9000\n")
    assert found == (4.0, 4800, 8320, 1500, 9000)
    assert found.refused == pytest.approx(8320 / 13120)
    with pytest.raises(ValueError, match="wrk wrote no result"):
        counted("unable to connect to 127.0.0.1:1 Connection refused\n")


@needs_wrk
def test_refused_answers_are_no_throughput() -> None:
    with launched("half", half_busy("1"), NOOP) as server:
        found = Throughput(2)(server, NOOP, QUICK)
    assert found.refused == pytest.approx(0.5, abs=0.05)
    assert found.figure > 0
    assert processes.marked(server.mark) == []


@needs_wrk
def test_times_of_refusals_are_no_latency() -> None:
    with pytest.raises(Failed, match="were refused"), launched("half", half_busy("1"), NOOP) as server:
        Latency()(server, NOOP, QUICK)
    assert processes.marked(server.mark) == []


def test_a_wrong_answer_ends_it_with_what_the_server_wrote(capfd: pytest.CaptureFixture[str]) -> None:
    told = r"wrong failed at noop: .* was answered with 200 b'7'"
    with pytest.raises(Failed, match=told), launched("wrong", half_busy("7"), NOOP):
        pytest.fail("a server that answers wrongly was taken")
    assert "the last words" in capfd.readouterr().err


def test_messages_come_whole_out_of_any_pieces() -> None:
    sent = (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 202 Accepted\r\ncontent-length:2\r\n\r\nde"
    )
    for size in (1, 7, len(sent)):
        messages = Messages()
        pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
        assert [body for piece in pieces for _, body in messages.take(piece)] == [b"abc", b"de"]
    with pytest.raises(ValueError, match="a message without a length"):
        list(Messages().take(b"HTTP/1.1 200 OK\r\n\r\n"))


@needs_wrk
@pytest.mark.slow  # makes the environments of two contestants when they are not there
@pytest.mark.timeout(600)
def test_a_slice_of_the_real_thing() -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks",
            "--quick",
            "--only",
            "async,stream",
            "--contestants",
            "ours,echo",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith("|")][2:]
    figures = [line.split("|")[3].strip() for line in lines]
    assert len(lines) == 3, ended.stdout
    assert all(figure.endswith(" /s") and float(figure[:-3].replace(",", "")) > 0 for figure in figures)
