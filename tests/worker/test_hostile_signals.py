"""Models with signal handlers, timers and masks of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.canceling import cancel
from support.serving import Server, until
from support.steps import body, fresh, let_go, model


@pytest.fixture(scope="module", name="any_worker")
def _sync(serve_once: Any) -> Server:
    server: Server = serve_once(model("sync"), "--cancel-grace", "1")
    return server


@pytest.fixture(scope="module")
def _asynchronous(serve_once: Any) -> Server:
    server: Server = serve_once(model("async"), "--cancel-grace", "1")
    return server


def unharmed(server: Server) -> Iterator[Server]:
    """Afterwards the same worker serves on, and our log has no error."""
    server.wait_health("READY")
    worker, line = server.workers(), len(server.lines)
    yield server
    works(server)
    assert server.workers() == worker
    assert [told for told in server.lines[line:] if told["level"] in ("WARN", "WARNING", "ERROR")] == []


def works(server: Server) -> None:
    server.wait_health("READY")
    answer = server.predict(body("print('p'); return 42")).json()
    assert (answer["status"], answer["output"], answer["logs"]) == ("succeeded", 42, "p\n"), answer


@pytest.fixture
def sync(any_worker: Server) -> Iterator[Server]:
    yield from unharmed(any_worker)


@pytest.fixture
def asynchronous(_asynchronous: Server) -> Iterator[Server]:
    yield from unharmed(_asynchronous)


def ran(server: Server, text: str, **names: object) -> Any:
    prediction = server.predict(body(text, **names)).json()
    assert prediction["status"] == "succeeded", prediction
    return prediction


TIMER = """
    def late(*_): reach($name); raise TimeoutError("the model's own alarm")
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
"""


def test_an_alarm_that_goes_off_when_nothing_runs(sync: Server) -> None:
    name = fresh()
    ran(sync, TIMER, name=name)
    sync.wait_file(name)
    sync.wait_log("TimeoutError: the model's own alarm")


def test_an_interrupt_when_nothing_runs(sync: Server) -> None:
    name = fresh()
    ran(
        sync,
        """
        import _thread
        def late():
            gate($name); _thread.interrupt_main(); reach($name + ".done")
        threading.Thread(target=late).start()
        """,
        name=name,
    )
    let_go(sync, name)
    sync.wait_file(name + ".done")
    works(sync)  # the interrupt waits until the worker has something to do, and must not cost it that
    sync.wait_log("KeyboardInterrupt")


def test_an_alarm_while_an_async_model_waits(asynchronous: Server) -> None:
    name = fresh()
    waiting = "    import asyncio\n    await asyncio.sleep(0.5)\n    return 5"  # in the loop when it goes off, not in code of its own
    prediction = asynchronous.predict(body(TIMER + waiting, name=name)).json()
    assert (prediction["status"], prediction["output"]) == ("succeeded", 5)
    asynchronous.wait_log("TimeoutError: the model's own alarm")


def test_an_alarm_inside_a_run_is_the_models(sync: Server) -> None:
    failed = sync.predict(body(TIMER + "    time.sleep(10)", name=fresh())).json()
    assert (failed["status"], failed["error"]) == ("failed", "TimeoutError: the model's own alarm")


def test_handlers_are_what_the_model_installed(sync: Server) -> None:
    code = """
        def mine(*_): pass
        before = signal.signal(signal.SIGUSR1, mine)
        seen = [before is signal.SIG_DFL or callable(before), signal.getsignal(signal.SIGUSR1) is mine]
        seen.append(signal.signal(signal.SIGUSR1, signal.SIG_IGN) is mine)
        seen.append(signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN)
        return seen + [signal.getsignal(signal.SIGINT) is signal.default_int_handler]
    """
    assert ran(sync, code)["output"] == [True] * 5


HANDLERS = """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: reach("signalled"))
"""


def test_a_cancel_beside_handlers_of_its_own(sync: Server) -> None:
    name = fresh()
    running = sync.start_async(body(HANDLERS + "    gate($name)", name=name))
    sync.wait_file(name)
    assert cancel(sync, running).status == 200
    assert sync.wait_for(running)["status"] == "canceled"


def test_a_timer_that_ticks_all_the_time(sync: Server) -> None:
    name = fresh()
    ran(
        sync,
        "signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)",
    )
    assert len(ran(sync, "return 'x' * 5_000_000")["output"]) == 5_000_000
    assert ran(sync, "for n in range(3000): print(n)")["logs"] == "".join(f"{n}\n" for n in range(3000))
    running = sync.start_async(body("gate($name)", name=name))
    sync.wait_file(name)
    assert cancel(sync, running).status == 200
    assert sync.wait_for(running)["status"] == "canceled"
    ran(sync, "signal.setitimer(signal.ITIMER_REAL, 0)")


DEAF = {
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "handled": "[signal.signal(n, lambda *_: None) for n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]",
    "ignored": "[signal.signal(n, signal.SIG_IGN) for n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]",
}


@pytest.mark.parametrize("how", DEAF)
def test_a_model_that_takes_every_signal_is_ended_after_the_grace(any_worker: Server, how: str) -> None:
    any_worker.wait_health("READY")
    running = any_worker.start_async(body(DEAF[how] + "\nprint('deaf'); time.sleep(60)"))
    until(lambda: any_worker.get(f"/predictions/{running}").json()["logs"], bool)
    before = time.monotonic()
    assert cancel(any_worker, running).status == 200
    assert any_worker.wait_for(running)["status"] == "canceled"
    assert time.monotonic() - before < 8
    works(any_worker)


@pytest.mark.slow
def test_the_end_of_the_server_does_not_wait_for_a_deaf_model(serve: Any) -> None:
    server = serve(model("sync"), "--cancel-grace", "1", "--drain-timeout", "1")
    running = server.start_async(body(DEAF["blocked"] + "\nreach('deaf'); time.sleep(60)"))
    server.wait_file("deaf")
    assert running
    before = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - before < 15
