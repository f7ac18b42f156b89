"""The engine of a model with a plain `def run`: one run at a time, in the main thread, always the same, because
signals, CUDA contexts, thread-locals and GUI libraries expect it.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from types import FrameType
from typing import TypeVar, cast

from cog.sdk.exceptions import CancelationException
from cog.sdk.scope import set_process_scope
from cog.worker import calls
from cog.worker.calls import Call
from cog.worker.control import CANCEL_SIGNAL, Answer
from cog.worker.failures import summary
from cog.worker.messages import Start
from cog.worker.model import Model
from cog.worker.outputs import OutputEncoder
from cog.worker.runs import Ending, Runs

T = TypeVar("T")


class SyncEngine:
    """Runs the model in the thread that calls `serve()`, which must be the main one."""

    def __init__(self, model: Model, runs: Runs) -> None:
        self._model = model
        self._runs = runs
        self._thread = threading.main_thread().ident or 0

    def serve(self) -> None:
        """Run what the server sends until it closes the channel."""
        signal.signal(CANCEL_SIGNAL, self._on_signal)
        for order in self._runs.channel.receive():
            if isinstance(order, Start):
                self._run(order)

    def _run(self, order: Start) -> None:
        call = self._runs.begin(order)
        calls.enter_process(call)
        set_process_scope(self._runs.scope(call, order))
        encoder = OutputEncoder(call.folder)
        started = time.perf_counter()
        try:
            ending = Ending(self._invoke(call, encoder, order.payload))
        except BaseException as error:  # noqa: BLE001  whatever the model raises, sys.exit() included, ends this run only
            call.open = False
            ending = Ending(error=error)
        self._runs.end(call, ending, encoder.files if ending.payload is not None else [], started)
        calls.enter_process(None)
        set_process_scope(None)

    def _invoke(self, call: Call, encoder: OutputEncoder, payload: bytes) -> bytes | None:
        arguments = self._model.arguments(payload)
        result = _inside(call, lambda: self._model.run(**arguments))
        if not self._model.signature.yields:
            return encoder.encode(result)
        chunks = _inside(call, lambda: iter(cast("Iterable[object]", result)))
        while True:
            try:
                chunk = _inside(call, _step(call, chunks))
            except StopIteration:
                return None
            self._runs.put_out(call, encoder, chunk)

    def _on_signal(self, number: int, order: FrameType | None) -> None:
        for call in tuple(self._runs.active.values()):
            call.interrupt(sys.exc_info()[1])

    # Called from the control thread.

    def cancel(self, number: int) -> bool:
        """Interrupt the run. False when it has ended."""
        with self._runs.lock:
            if self._runs.mark_canceling(number) is None:
                return self._runs.expected(number)
            signal.pthread_kill(self._thread, CANCEL_SIGNAL)
        return True

    def nudge(self) -> bool:
        """Interrupt once more what was canceled and still runs."""
        with self._runs.lock:
            canceling = any(call.canceling for call in self._runs.active.values())
            if canceling:
                signal.pthread_kill(self._thread, CANCEL_SIGNAL)
        return canceling

    def check_health(self, answer: Answer) -> None:
        """Ask the model in a thread of its own: the main one is for the runs."""
        check = self._model.healthcheck
        if check is None:
            answer(True, None)
        else:
            threading.Thread(target=_check, args=(check, answer), name="cog-healthcheck", daemon=True).start()


def _inside(call: Call, act: Callable[[], T]) -> T:
    """Run the model's own code: inside, and only here, a cancel is raised."""
    call.open = True
    try:
        call.interrupt(None)
        return act()
    finally:
        call.open = False


def _step(call: Call, iterator: Iterator[object]) -> Callable[[], object]:
    """The next step of what the model yields; a cancel that came in between is thrown in where it waits."""
    if call.canceling and not call.delivered and isinstance(iterator, Generator):
        call.delivered = True
        call.raised_at = time.monotonic()
        return lambda: iterator.throw(CancelationException())
    return lambda: next(iterator)


def _check(check: Callable[[], object], answer: Answer) -> None:
    try:
        verdict = check()
        if inspect.isawaitable(verdict):
            verdict = asyncio.run(_awaited(verdict))
    except BaseException as error:  # noqa: BLE001  the model's own code: what it raised is the answer
        answer(False, summary(error))
    else:
        answer(verdict is not False, None)


async def _awaited(verdict: object) -> object:
    assert inspect.isawaitable(verdict)
    return await verdict
