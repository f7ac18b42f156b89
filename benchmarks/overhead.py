"""What the server adds to a model that does nothing, beside a bare uvicorn+Starlette echo in the same run.

    python benchmarks/overhead.py [--rounds 5] [--seconds 4]

Needs `wrk` (Debian's package of that name). Contestants take turns in every round, so that a machine that becomes
slower meets all of them; the medians and their ratios to the echo are printed as a Markdown table. Answers other than
200 never count: one of them ends the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

MODELS = {
    "async model, 32 slots": """
from cog import BaseRunner, concurrent

class Runner(BaseRunner):
    @concurrent(max=32)
    async def run(self, x: int = 1) -> int:
        return x
""",
    "sync model, 1 slot": """
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, x: int = 1) -> int:
        return x
""",
}

LOAD = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"input":{"x":1}}'
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.errors.status, summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Load(NamedTuple):
    """What is sent: `connections` at once, each sending the next request after the answer."""

    connections: int


class Result(NamedTuple):
    """One measurement: answers per second, and latency in microseconds."""

    rate: float
    p50: float
    p99: float


class Contestant(NamedTuple):
    """A server that is up, and the loads that it is measured with."""

    name: str
    port: int
    loads: tuple[Load, ...]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, port: int) -> Iterator[None]:
    """A server process that is ready to answer predictions on `port`."""
    environment = os.environ | {"PORT": str(port), "LOG_FORMAT": "json", "COG_LOG_LEVEL": "error"}
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{' '.join(command)} does not come up")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    """True when a prediction is answered with 200."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predictions",
        b'{"input":{"x":1}}',
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def measure(port: int, load: Load, seconds: int, script: Path) -> Result:
    """One run of wrk."""
    settle(port)
    shown = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{load.connections}",
            f"-d{seconds}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}/predictions",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", shown)
    assert found is not None, shown
    refused, requests, duration, p50, p99 = map(int, found.groups())
    if refused:
        raise SystemExit(
            f"{refused} of {requests} answers on port {port} were not 200: the figures would mean nothing"
        )
    return Result(requests / duration * 1e6, p50, p99)


def settle(port: int) -> None:
    """Return when nothing runs any more: wrk ends with requests on their way, which hold their places a little longer."""
    deadline = time.monotonic() + 30
    while any(one["status"] in ("starting", "processing") for one in listed(port)):
        if time.monotonic() > deadline:
            raise SystemExit(f"predictions on port {port} do not end")
        time.sleep(0.01)


def listed(port: int) -> list[dict[str, str]]:
    """The newest predictions of the server; none of the echo, which keeps no list."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/predictions", timeout=10) as answer:
            results: list[dict[str, str]] = json.load(answer)["results"]
            return results
    except urllib.error.HTTPError as error:
        if error.code != 405:
            raise
        return []


def compete(contestants: Sequence[Contestant], rounds: int, seconds: int) -> dict[tuple[str, Load], Result]:
    """The median of every contestant's rounds, by name and load."""
    taken: dict[tuple[str, Load], list[Result]] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LOAD)
        script.flush()
        for number in range(rounds + 1):
            for contestant in contestants:
                for load in contestant.loads:
                    result = measure(contestant.port, load, seconds if number else 1, Path(script.name))
                    if number:  # the first round warms up
                        taken.setdefault((contestant.name, load), []).append(result)
    return {
        key: Result(*map(statistics.median, zip(*results, strict=True))) for key, results in taken.items()
    }


def table(results: dict[tuple[str, Load], Result]) -> str:
    """The results as Markdown; ratios are to the echo with the same load."""
    lines = [
        "| server | connections | answers/s | of the echo's | p50 | of the echo's | p99 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for (name, load), result in results.items():
        limit = results["echo", load]
        lines.append(
            f"| {name} | {load.connections} | {result.rate:,.0f} | {result.rate / limit.rate:.2f} "
            f"| {result.p50 / 1000:.2f} ms | {result.p50 / limit.p50:.2f} | {result.p99 / 1000:.2f} ms |"
        )
    return "\n".join(lines)


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument(
        "--seconds",
        type=int,
        default=4,
        help="whole seconds of one measurement (default: 4)",
    )
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed. It is Debian's package `wrk`: apt-get install wrk")
    many, one = Load(32), Load(1)
    with contextlib.ExitStack() as stack:
        port = free_port()
        echo = [
            sys.executable,
            "-m",
            "uvicorn",
            "echo:app",
            "--port",
            str(port),
            "--no-access-log",
            "--log-level",
            "error",
        ]
        stack.enter_context(running(echo, HERE, port))
        contestants = [Contestant("echo", port, (many, one))]
        for name, source in MODELS.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / "run.py").write_text(source)
            (folder / "cog.yaml").write_text('run: "run.py:Runner"\n')
            port = free_port()
            server = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1", "--threads", "1"]
            stack.enter_context(running(server, folder, port))
            # One slot refuses what comes while it is busy, so it is measured with one connection.
            contestants.append(Contestant(name, port, (many, one) if "async" in name else (one,)))
        print(table(compete(contestants, options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
