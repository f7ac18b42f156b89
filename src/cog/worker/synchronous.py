"""The engine of a model with a plain `def run`: one run at a time, in the main thread, always the same, because
signals, CUDA contexts, thread-locals and GUI libraries expect it.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from time import monotonic, perf_counter
from types import FrameType
from typing import TypeVar, cast

from cog.sdk.exceptions import CancelationException
from cog.sdk.scope import set_process_scope
from cog.signature.leaves import take_opened
from cog.worker import calls
from cog.worker.calls import Call
from cog.worker.control import CANCEL_SIGNAL, Answer
from cog.worker.failures import is_fatal, summary
from cog.worker.messages import Look, Start, StartBatch
from cog.worker.model import Model
from cog.worker.runs import Ending, Runs
from cog.worker.work import Work, work_of

T = TypeVar("T")


class SyncEngine:
    """Runs the model in the thread that calls `serve()`, which must be the main one."""

    def __init__(self, model: Model, runs: Runs) -> None:
        self._model = model
        self._runs = runs
        self._thread = threading.main_thread().ident or 0
        self._running = False

    def serve(self) -> None:
        """Run what the server sends until it closes the channel."""
        signal.signal(CANCEL_SIGNAL, self._on_signal)
        while True:
            try:
                self._serve()
            except BaseException as error:
                if self._running or is_fatal(error):
                    raise
                self._runs.tell(error)  # a thread of the model raised it here, while nothing ran
            else:
                return

    def _serve(self) -> None:
        for order in self._runs.channel.receive():
            if isinstance(order, Start | StartBatch):
                self._running = True
                self._run(order)
                self._running = False
            elif isinstance(order, Look):
                self._runs.channel.look(order.seconds)

    def _run(self, order: Start | StartBatch) -> None:
        work = work_of(order, self._runs, self._model)
        call = work.call
        calls.enter_process(call)
        set_process_scope(work.scope)
        started = perf_counter()
        try:
            ending = Ending(self._invoke(call, work))
        except BaseException as error:  # noqa: BLE001  whatever the model raises, sys.exit() included, ends this run only
            call.open = False
            ending = Ending(error=error)
        work.end(ending, started)
        calls.enter_process(None)
        set_process_scope(None)

    def _invoke(self, call: Call, work: Work) -> bytes | None:
        _offer_loop()
        arguments = work.arguments()
        call.files = take_opened()
        if arguments is None:
            return None
        result = _inside(call, lambda: self._model.run(**arguments))
        if not self._model.signature.yields:
            return work.encode(result)
        chunks = _inside(call, lambda: iter(cast("Iterable[object]", result)))
        while not work.over:
            try:
                chunk = _inside(call, _step(call, chunks))
            except StopIteration:
                return None
            try:
                work.put_out(chunk)
            except BaseException:
                self._close(call, chunks)
                raise
        self._close(call, chunks)
        return None

    def _close(self, call: Call, chunks: Iterator[object]) -> None:
        """Let a generator clean up that is not asked for more: as a part of this run, not whenever it is collected."""
        if isinstance(chunks, Generator):
            try:
                _inside(call, chunks.close)
            except BaseException as error:  # noqa: BLE001  told in the logs: what is wrong with the chunk is the error
                self._runs.tell(error)

    def inside(self) -> bool:
        """True where the model's own code runs."""
        return any(call.open and not call.guarded for call in tuple(self._runs.active.values()))

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


def _offer_loop() -> None:
    """Let `asyncio.get_event_loop()` find a loop, as in setup(); `asyncio.run()` in an earlier run has removed it."""
    try:
        if not asyncio.get_event_loop().is_closed():
            return
    except RuntimeError:
        pass  # there is none
    asyncio.set_event_loop(asyncio.new_event_loop())


def _step(call: Call, iterator: Iterator[object]) -> Callable[[], object]:
    """The next step of what the model yields; a cancel that came in between is thrown in where it waits."""
    if call.canceling and not call.delivered and isinstance(iterator, Generator):
        call.delivered = True
        call.raised_at = monotonic()
        return lambda: iterator.throw(CancelationException())
    return lambda: next(iterator)


def _check(check: Callable[[], object], answer: Answer) -> None:
    calls.enter_none()  # what it prints is not of the run beside it
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
