"""Models that do what models do: the next prediction is right all the same."""

from __future__ import annotations

from typing import Any

import pytest

from support.serving import Server

SYNC = """
import ctypes, os, signal, sys, threading, time
from typing import Any
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, code: str) -> Any:
        names = dict(globals())
        exec(code, names)
        return names.get("out")
"""

ASYNC = """
import asyncio, os, sys
from typing import Any
from cog import BaseRunner

class Runner(BaseRunner):
    async def run(self, code: str) -> Any:
        names = dict(globals())
        exec("async def act():\\n " + code.replace("\\n", "\\n "), names)
        return await names["act"]()
"""


@pytest.fixture(scope="module")
def sync(serve_once: Any) -> Server:
    server: Server = serve_once(SYNC)
    return server


@pytest.fixture(scope="module")
def asynchronous(serve_once: Any) -> Server:
    server: Server = serve_once(ASYNC)
    return server


def right_after(server: Server, code: str) -> None:
    """The next prediction is right, on the same worker or on its successor."""
    server.wait_health("READY")
    answer = server.predict({"code": code}).json()
    assert (answer["status"], answer["output"]) == ("succeeded", 42), answer


FINE = {
    "stdin": ("out = sys.stdin.read()", ""),
    "fd 0": ("out = os.read(0, 10).decode()", ""),
    "closes 0 1 2": ("os.close(0); os.close(1); os.close(2); out = 1; os.open('/dev/null', 0); os.open('/dev/null', 1); os.dup2(1, 2)", 1),
    "sys.stdin gone": ("sys.stdin = None; out = 2", 2),
    "sys.stdout gone": ("sys.stdout = None; print('x'); out = 3", 3),
    "own signal handlers": (
        "for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM): "
        "signal.signal(s, lambda *a: None)\nos.kill(os.getpid(), signal.SIGTERM); out = 4", 4,
    ),
    "a thread left running": ("threading.Thread(target=time.sleep, args=(600,), daemon=True).start(); out = 5", 5),
    "another folder": ("os.chdir('/'); out = 6", 6),
    "closerange": ("os.closerange(3, 120); out = 7", 7),
    "huge integer": ("out = 2**70", 2**70),
    "lone surrogate": ("out = 'a\\ud800b'", "a\ufffdb"),
}  # fmt: skip


@pytest.mark.parametrize("what", FINE)
def test_it_works(sync: Server, what: str) -> None:
    code, expected = FINE[what]
    answer = sync.predict({"code": code}).json()
    assert (answer["status"], answer["output"]) == ("succeeded", expected), answer
    right_after(sync, "out = 42")


FAILING = {
    "exit": ("sys.exit(3)", "SystemExit: 3"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "memory": ("raise MemoryError('much')", "MemoryError: much"),
    "long text": ("raise ValueError('x' * 9_000_000)", "ValueError: xxx"),
    "says cancelled": (
        "raise ValueError('operation was cancelled by user')",
        "ValueError: operation was cancelled by user",
    ),
    "NaN": ("out = {'scores': [1.0, 2.0, 3.0, float('nan')]}", "output.scores[3] is NaN"),
    "deep": ("out = []\nfor _ in range(100_000): out = [out]", "OutputError"),
    "an object": ("out = object()", "OutputError"),
    "_exit": ("os._exit(3)", "exit code 3"),
    "segfault": ("ctypes.string_at(0)", "SIGSEGV"),
    "kills itself": ("os.kill(os.getpid(), 9)", "SIGKILL"),
}


@pytest.mark.parametrize("what", FAILING)
def test_it_fails_and_says_why(sync: Server, what: str) -> None:
    code, error = FAILING[what]
    answer = sync.predict({"code": "print('before', flush=True)\n" + code}).json()
    assert answer["status"] == "failed"
    assert error in answer["error"], answer["error"][:300]
    assert answer["logs"].startswith("before\n")
    right_after(sync, "out = 42")


def test_30_mib_and_500_levels_come_through(sync: Server) -> None:
    assert len(sync.predict({"code": "out = 'y' * 30_000_000"}).json()["output"]) == 30_000_000
    answer = sync.predict({"code": "out = 1\nfor _ in range(500): out = [out]"})
    assert b"[" * 500 + b"1" + b"]" * 500 in answer.body
    right_after(sync, "out = 42")


ASYNC_FAILING = {
    "exit": ("sys.exit(3)", "SystemExit: 3"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "says cancelled": (
        "raise ValueError('operation was cancelled by user')",
        "ValueError: operation was cancelled by user",
    ),
    "cancels itself": ("raise asyncio.CancelledError", "CancelledError"),
    "exit in a child": ("async def c(): sys.exit(4)\nawait asyncio.create_task(c())", "SystemExit: 4"),
}


@pytest.mark.parametrize("what", ASYNC_FAILING)
def test_j38_an_async_model_fails_alone(asynchronous: Server, what: str) -> None:
    code, error = ASYNC_FAILING[what]
    answer = asynchronous.predict({"code": code}).json()
    assert answer["status"] == "failed"
    assert error in answer["error"]
    right_after(asynchronous, "return 42")


def test_j38_a_task_left_behind_that_exits_harms_nobody(asynchronous: Server) -> None:
    code = "async def c(): sys.exit(4)\nasyncio.get_running_loop().keep = asyncio.create_task(c())\nreturn 1"
    assert asynchronous.predict({"code": code}).json()["output"] == 1
    right_after(asynchronous, "return 42")
