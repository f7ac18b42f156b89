"""The engine of a model with an `async def run`: many runs on one event loop, the same one as its `setup()`."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextvars import Context
from time import perf_counter
from typing import Any, Final, cast

from cog.sdk import scope
from cog.signature.leaves import take_opened
from cog.worker import calls
from cog.worker.busy_poll import BusyPoll
from cog.worker.calls import Call
from cog.worker.control import Answer
from cog.worker.failures import summary
from cog.worker.messages import Look, Start, StartBatch
from cog.worker.model import Model
from cog.worker.runs import Ending, Runs
from cog.worker.work import Work, work_of

# Seconds for which a model that yields without awaiting has the loop to itself: a turn of it costs more than a chunk.
_BREATH: Final = 0.001


class AsyncEngine:
    """Runs the model on `loop`, one task for each run."""

    def __init__(self, model: Model, runs: Runs, loop: asyncio.AbstractEventLoop) -> None:
        self._model = model
        self._runs = runs
        self._loop = loop
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self._ended = False
        self._poll = BusyPoll(loop)

    def serve(self) -> None:
        """Run what the server sends until it closes the channel."""
        channel = self._runs.channel
        channel.defer(lambda: self._loop.call_soon(channel.flush_in_turn))
        self._loop.add_reader(channel.fileno(), self._receive)
        if self._loop.get_exception_handler() is None:
            self._loop.set_exception_handler(_tell_at_home)
        while not self._ended:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # A task that the model made itself called sys.exit(). It has ended with that; the loop, and
                # every other prediction on it, goes on.
                continue
        channel.flush()

    def _receive(self) -> None:
        self._poll.wake()
        try:
            for order in self._runs.channel.receive_ready():
                if isinstance(order, Start | StartBatch):
                    self._begin(work_of(order, self._runs, self._model))
                elif isinstance(order, Look):
                    self._poll.look(order.seconds)
        except EOFError:
            self._ended = True
            self._loop.stop()

    def _begin(self, work: Work) -> None:
        number = work.call.number
        running = self._run(work)
        try:
            task = self._loop.create_task(running)
        except BaseException as error:  # noqa: BLE001  the task factory is the model's own
            running.close()
            work.end(Ending(error=error), perf_counter())
            return
        if number in self._runs.active:  # an eager task (from Python 3.12 on) may have ended in there
            self._tasks[number] = task

    async def _run(self, work: Work) -> None:
        call = work.call
        calls.enter(call)
        call.guarded += 1  # a cancel comes through the task, never out of a print
        scope.active.set(work.scope)
        started = perf_counter()
        try:
            ending = Ending(await self._invoke(call, work))
        except BaseException as error:  # noqa: BLE001  whatever the model raises, sys.exit() included, ends this run only
            ending = Ending(error=error)
        call.open = False
        work.end(ending, started)
        self._tasks.pop(call.number, None)
        self._poll.wake()
        if not self._tasks:
            # Nobody else will add to it: do not wait for the loop's next turn, should that ever come.
            self._runs.channel.flush_in_turn()

    async def _invoke(self, call: Call, work: Work) -> bytes | None:
        arguments = work.arguments()
        call.files = take_opened()
        call.open = True
        if call.canceling:  # it was canceled before it began
            call.delivered = True
            raise asyncio.CancelledError
        if arguments is None:
            return None
        result = self._model.run(**arguments)
        if not self._model.signature.yields:
            return work.encode(await cast("Awaitable[object]", result))
        await self._stream(work, aiter(cast("AsyncIterable[object]", result)))
        return None

    async def _stream(self, work: Work, chunks: AsyncIterator[object]) -> None:
        step: Callable[[], Awaitable[object]] = chunks.__anext__
        breathed = -_BREATH
        try:
            while not work.over:
                try:
                    chunk = await step()
                except StopAsyncIteration:
                    return
                work.put_out(chunk)
                if perf_counter() - breathed < _BREATH:
                    self._runs.channel.flush()
                    step = chunks.__anext__
                else:
                    step = await _breathe(chunks)
                    breathed = perf_counter()
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    def inside(self) -> bool:
        """True where the model's own code runs: in a task, and not in what is ours of it."""
        if asyncio.current_task(self._loop) is None:
            return False
        found = calls.current()
        call = None if found is None else found.lead or found
        return call is None or (call.open and call.guarded <= 1)

    def _interrupt(self, number: int) -> None:
        call = self._runs.active.get(number)
        task = self._tasks.get(number)
        if call is not None and task is not None and call.open:
            call.delivered = True
            task.cancel()

    # Called from the control thread.

    def cancel(self, number: int) -> bool:
        """Cancel the task of a run. False when it has ended."""
        with self._runs.lock:
            if self._runs.mark_canceling(number) is None:
                return self._runs.expected(number)
        self._loop.call_soon_threadsafe(self._interrupt, number)
        return True

    def nudge(self) -> bool:
        """Nothing: cancelling a task again would cut off its cleanup."""
        return False

    def check_health(self, answer: Answer) -> None:
        """Ask the model: an async check on its own loop, a plain one, which would hold up every run, in a thread."""
        check = self._model.healthcheck
        if check is None:
            answer(True, None)
        elif inspect.iscoroutinefunction(check):
            self._loop.call_soon_threadsafe(self._begin_check, check, answer)
        else:
            threading.Thread(
                target=self._check_aside, args=(check, answer), name="cog-healthcheck", daemon=True
            ).start()

    def _check_aside(self, check: Callable[[], object], answer: Answer) -> None:
        try:
            verdict = check()
        except BaseException as error:  # noqa: BLE001  the model's own code: what it raised is the answer
            answer(False, summary(error))
            return
        if inspect.isawaitable(verdict):  # a plain function that gives a coroutine
            self._loop.call_soon_threadsafe(self._begin_check, lambda: verdict, answer)
        else:
            answer(verdict is not False, None)

    def _begin_check(self, check: Callable[[], object], answer: Answer) -> None:
        task = self._loop.create_task(self._check(check, answer))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check(self, check: Callable[[], object], answer: Answer) -> None:
        try:
            verdict = check()
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except BaseException as error:  # noqa: BLE001  the model's own code: what it raised is the answer
            answer(False, summary(error))
        else:
            answer(verdict is not False, None)


async def _breathe(chunks: AsyncIterator[object]) -> Callable[[], Awaitable[object]]:
    """Let the loop send what was put out and serve the other runs, also when the model yields without awaiting.

    Gives the next step: a cancel that arrives here is thrown in where the model waits at its `yield`.
    """
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        if not isinstance(chunks, AsyncGenerator):
            raise
        generator = chunks
        return lambda: generator.athrow(asyncio.CancelledError())
    return chunks.__anext__


def _tell_at_home(loop: asyncio.AbstractEventLoop, facts: dict[str, Any]) -> None:
    """Log the exception of a task that nobody waited for. This is called when the task is thrown away, often in the
    middle of another run, whose logs it must not get into: it is logged in the task's own context, or in none.
    """
    task = facts.get("task") or facts.get("future")
    own = getattr(task, "get_context", Context)  # tasks have it from Python 3.12 on
    own().copy().run(loop.default_exception_handler, facts)
