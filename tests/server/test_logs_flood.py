"""Floods of prints: the memory is bounded, everything else stays prompt, the logs are right at both ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.models import SYNC
from support.serving import Server


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    found: Server = serve_once(SYNC)
    return found


def peak(pid: int) -> int:
    """The most MiB that the process has ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def prompt(server: Server, seconds: float = 3.0) -> Iterator[None]:
    """Meanwhile the health check answers, each time within `seconds`."""
    worst, stop = [0.0], threading.Event()

    def look() -> None:
        while not stop.is_set():
            before = time.monotonic()
            server.health()
            worst.append(time.monotonic() - before)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    assert max(worst) < seconds


FLOODS = {
    "C, lines": "import os\nfor _ in range(3200): os.write(1, b'x' * 65535 + b'\\n')",
    "C, no newline": "import os\nfor _ in range(3200): os.write(1, b'x' * 65536)",
    "a grandchild": "import subprocess; subprocess.run('yes ' + 'y' * 8000 + ' | head -c 200000000', shell=True, check=True)",
    "Python, one text": "print('x' * 50_000_000); print('x' * 50_000_000)",
    "both": "import os, sys\nfor _ in range(1600): os.write(2, b'e' * 65535 + b'\\n'); print('o' * 65535)",
}


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what == "both" else pytest.mark.slow) for what in FLOODS]
)
def test_200_mb_do_not_fill_the_memory(server: Server, what: str) -> None:
    (worker,) = server.workers()
    before = peak(server.process.pid)
    with prompt(server):
        answer = server.predict({"code": f"print('BEGIN', flush=True)\n{FLOODS[what]}\nprint('END')"}).json()
    assert answer["status"] == "succeeded"
    assert len(answer["logs"]) < 17 * 1024 * 1024
    assert "characters of logs were cut here" in answer["logs"]
    assert answer["logs"].startswith("BEGIN\n")
    assert "END\n" in answer["logs"][-70_000:]
    assert peak(server.process.pid) - before < 250
    assert server.workers() == [worker]
    assert server.predict({"code": "print('p')"}).json()["logs"] == "p\n"


def test_a_print_loop(server: Server) -> None:
    with prompt(server):
        answer = server.predict({"code": "for n in range(50_000): print('line', n)"}).json()
    assert answer["logs"] == "".join(f"line {n}\n" for n in range(50_000))


@pytest.mark.slow
def test_a_loop_of_prints_without_a_newline_takes_linear_time(server: Server) -> None:
    """A progress bar of dots. Each one cost as much as all before it: 300,000 took half a minute."""
    answer = server.predict(
        {
            "code": "import time; t = time.process_time()\nfor _ in range(300_000): print('.', end='')\nout = time.process_time() - t"
        }
    )
    assert answer.json()["logs"] == "." * 300_000
    assert answer.json()["output"] < 10
