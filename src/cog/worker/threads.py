"""What a model starts in a thread belongs to the run that started it, also when it outlives that run: what it prints
then must not get into the logs of another one.

Python hands no context to threads (before 3.14), so the two ways in which models start them are wrapped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import Any

from cog.sdk import scope
from cog.worker import calls
from cog.worker.calls import Call


def follow() -> None:
    """From now on threads, and what is submitted to pools of threads, belong to the run that they come from."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    @wraps(start)
    def started(thread: threading.Thread) -> None:
        call = calls.current()
        if call is not None:
            thread.run = _Within(call, thread.run, thread)  # type: ignore[method-assign]
        start(thread)

    @wraps(submit)  # type: ignore[arg-type]
    def submitted(
        pool: ThreadPoolExecutor, act: Callable[..., Any], /, *args: Any, **named: Any
    ) -> Future[Any]:
        call = calls.current()
        return submit(pool, act if call is None else _Within(call, act), *args, **named)

    threading.Thread.start = started  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = submitted  # type: ignore[method-assign, assignment]


class _Within:
    """A call that belongs to a run, in whatever thread it is made."""

    def __init__(self, call: Call, act: Callable[..., Any], thread: threading.Thread | None = None) -> None:
        """`thread` is the one whose `run` this is."""
        self._thread = thread
        self._call = call
        self._scope = scope.current_scope()
        self._act = act

    def __call__(self, *args: Any, **named: Any) -> Any:
        token = calls.enter(self._call)
        before = scope.active.set(self._scope)
        try:
            return self._act(*args, **named)
        finally:
            calls.leave(token)
            scope.active.reset(before)
            if self._thread is not None:  # the two hold each other: only the collector would end that
                self._thread.__dict__.pop("run", None)
                self._thread = None
