"""Models that take their own process apart: what they do to it is theirs, the next prediction is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.models import ASYNC, SYNC
from support.serving import Server, until
from support.steps import alive

PRINTS = "print('p'); import os; os.write(1, b'raw\\n')"
FINE = {"_plain": f"{PRINTS}; out = 42", "_coroutine": f"{PRINTS}; return 42"}


@pytest.fixture(scope="module")
def _plain(serve_once: Any) -> Server:
    server: Server = serve_once(SYNC)
    return server


@pytest.fixture(scope="module")
def _coroutine(serve_once: Any) -> Server:
    server: Server = serve_once(ASYNC)
    return server


def unharmed(server: Server, code: str) -> Iterator[Server]:
    """Afterwards the next prediction is right, in the same worker, and our log has no error."""
    worker, line = server.workers(), len(server.lines)
    yield server
    answer = server.predict({"code": code}).json()
    assert (answer["status"], answer["output"]) == ("succeeded", 42), answer
    assert sorted(answer["logs"].splitlines()) == ["p", "raw"]  # two sources: their order is not promised
    assert server.workers() == worker
    assert [told for told in server.lines[line:] if told["level"] in ("WARN", "WARNING", "ERROR")] == []


@pytest.fixture
def plain(_plain: Server) -> Iterator[Server]:
    yield from unharmed(_plain, FINE["_plain"])


@pytest.fixture
def coroutine(_coroutine: Server) -> Iterator[Server]:
    yield from unharmed(_coroutine, FINE["_coroutine"])


def ran(server: Server, code: str) -> Any:
    prediction = server.predict({"code": code}).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction


# What a model does, and what makes it whole again for the tests that follow.
WAYS = {
    "a removed folder": (
        "import os, tempfile; self.old = os.getcwd(); d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
        "import os; os.chdir(self.old)",
    ),
    "no environment": ("import os; self.kept = dict(os.environ); os.environ.clear()", "import os; os.environ.update(self.kept)"),
    "no sys.path": ("import sys; self.path = sys.path[:]; sys.path.clear()", "import sys; sys.path[:] = self.path"),
    "no modules": (
        "import sys; self.modules = dict(sys.modules)\n"
        "for name in list(sys.modules):\n"
        "    if name.split('.')[0] in ('cog', 'json', 'threading', 'traceback', 'asyncio', 'cog'): del sys.modules[name]",
        "import sys; sys.modules.update(self.modules)",
    ),
    "no collector": ("import gc; gc.disable()", "import gc; gc.enable()"),
    "a frozen clock": (
        "import time; self.clock = time.time, time.monotonic, time.perf_counter\n"
        "time.time = time.monotonic = lambda: 0.0; time.perf_counter = None",
        "import time; time.time, time.monotonic, time.perf_counter = self.clock",
    ),
    "warnings are errors": ("import warnings; self.filters = warnings.filters[:]; warnings.simplefilter('error')", "import warnings; warnings.filters[:] = self.filters"),
    "another locale": ("import locale; locale.setlocale(locale.LC_ALL, 'C')", ""),
    "no hooks": (
        "import sys, threading; self.hook = threading.excepthook; sys.excepthook = threading.excepthook = None",
        "import sys, threading; sys.excepthook = sys.__excepthook__; threading.excepthook = self.hook",
    ),
    "no open": ("import builtins; builtins.open_ = builtins.open; builtins.open = None", "import builtins; builtins.open = builtins.open_"),
    "a low recursion limit": ("import sys; sys.setrecursionlimit(80)", "import sys; sys.setrecursionlimit(1000)"),
    "another umask": ("import os; self.umask = os.umask(0o777)", "import os; os.umask(self.umask)"),
    "no stdout": ("import sys; del sys.stdout", ""),
    "no streams": ("import sys; sys.stdin = sys.stdout = sys.stderr = None", ""),
    "streams closed": ("import sys; sys.stdout.close(); sys.stderr.close()", ""),
    "stdin closed": ("import sys; sys.stdin.close()", ""),
    "1 and 2 closed": ("import os; os.close(1); os.close(2)", ""),
    "1 and 2 lead elsewhere": ("import os; f = os.open('/dev/null', os.O_WRONLY); os.dup2(f, 1); os.dup2(f, 2); os.close(f)", ""),
    "1 reads": ("import os; f = os.open('/dev/null', os.O_RDONLY); os.dup2(f, 1); os.dup2(f, 2); os.close(f)", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", WAYS)
@pytest.mark.parametrize("kind", ["_plain", "_coroutine"])
def test_its_process_is_not_ours(request: pytest.FixtureRequest, kind: str, what: str) -> None:
    server = request.getfixturevalue(kind)
    harm, repair = WAYS[what]
    for whole in unharmed(server, FINE[kind]):
        ran(whole, harm)
    ran(server, repair or "pass")


def test_a_worker_may_not_leave_its_session(plain: Server) -> None:
    for call in ("setsid", "setpgrp"):
        failed = plain.predict({"code": f"import os; os.{call}()"}).json()
        assert failed["error"].startswith("PermissionError"), call


def test_a_loop_is_there_after_asyncio_run(plain: Server) -> None:
    assert ran(plain, "async def f(): return 5\nout = asyncio.run(f())")["output"] == 5
    again = "out = asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, 6))"
    assert ran(plain, again)["output"] == 6
    assert ran(plain, "asyncio.get_event_loop().close()")["output"] is None
    assert ran(plain, again)["output"] == 6
    assert ran(plain, "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())")["output"] is None
    assert ran(plain, again)["output"] == 6


def test_a_loop_of_its_own_stays(plain: Server) -> None:
    ran(plain, "self.loop = asyncio.new_event_loop(); asyncio.set_event_loop(self.loop)")
    assert ran(plain, "out = asyncio.get_event_loop() is self.loop")["output"] is True


TEE = """
import sys
class Tee:
    def __init__(self, old): self.old, self.seen = old, []
    def write(self, text): self.seen.append(text); return self.old.write(text)
    def __getattr__(self, name): return getattr(self.old, name)
"""


def test_a_wrapper_around_the_stream(plain: Server, coroutine: Server) -> None:
    code = TEE + "sys.stdout = tee = Tee(sys.stdout); print('shown'); {} ''.join(tee.seen)"
    for server, give in ((plain, "out ="), (coroutine, "return")):
        prediction = ran(server, code.format(give))
        assert (prediction["output"], prediction["logs"]) == ("shown\n", "shown\n")


def test_logging_that_was_set_up_before_still_arrives(plain: Server) -> None:
    ran(plain, "import logging; logging.basicConfig(level='INFO', format='%(message)s', force=True)")
    code = (
        "import logging, sys, warnings\nlogging.info('info {0}'); logging.getLogger('x').error('error {0}')\n"
    )
    for name in ("one", "two"):
        logs = ran(plain, code.format(name))["logs"]
        assert logs == f"info {name}\nerror {name}\n"
    ran(plain, "import logging; logging.basicConfig(level='WARNING', force=True)")


def test_a_traceback_of_faulthandler_is_in_the_logs(plain: Server) -> None:
    logs = ran(plain, "import faulthandler; faulthandler.dump_traceback(all_threads=False)")["logs"]
    assert logs.startswith("Stack (most recent call first)" if "Stack" in logs else "Current thread")


# Threads


def test_a_thread_that_outlives_its_prediction_prints_into_no_other(plain: Server) -> None:
    ran(
        plain,
        "import threading, cog\n"
        "def late():\n"
        "    hold('let-it-print'); print('late words'); cog.current_scope().record_metric('late', 1); mark('has-printed')\n"
        "threading.Thread(target=late).start()",
    )
    prediction = ran(plain, "mark('let-it-print'); hold('has-printed'); print('mine')")
    assert prediction["logs"] == "mine\n"
    assert "late" not in prediction["metrics"]
    plain.wait_log("late words")


def test_a_pool_kept_by_the_model_prints_for_the_prediction_that_submits(plain: Server) -> None:
    code = (
        "import concurrent.futures as f\nif not hasattr(self, 'pool'): self.pool = f.ThreadPoolExecutor(1)\n"
    )
    for name in ("one", "two"):
        assert ran(plain, f"{code}self.pool.submit(print, {name!r}).result()")["logs"] == f"{name}\n"


def test_threads_of_an_async_model_print_for_their_prediction(coroutine: Server) -> None:
    code = (
        "import threading\n"
        "def work():\n    hold('threads-go'); print('{0} thread')\n"
        "t = threading.Thread(target=work); t.start()\n"
        "await asyncio.get_running_loop().run_in_executor(None, work)\n"
        "while t.is_alive(): await asyncio.sleep(0.001)"
    )
    running = {name: coroutine.start_async({"code": code.format(name)}) for name in ("x", "y")}
    (coroutine.folder / "threads-go").touch()
    for name, prediction in running.items():
        assert coroutine.wait_for(prediction)["logs"] == f"{name} thread\n" * 2


def test_what_fails_in_a_thread_is_told_in_the_logs(plain: Server) -> None:
    prediction = ran(
        plain, "import threading\nt = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    )
    assert prediction["logs"].endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.slow
def test_threads_do_not_keep_the_server_from_its_end(serve: Any) -> None:
    server = serve(SYNC)
    ran(server, "import threading; threading.Thread(target=threading.Event().wait).start()")
    (worker,) = server.workers()
    assert server.stop(timeout=12) == 0
    until(lambda: alive(worker), lambda living: not living)
