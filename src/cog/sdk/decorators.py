"""Decorators for `run()`. They mark the function and return it as it is: nothing is wrapped."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def streaming(fn: Function) -> Function: ...
@overload
def streaming(fn: None = None) -> Callable[[Function], Function]: ...
def streaming(fn: Function | None = None) -> Function | Callable[[Function], Function]:
    """Offer clients the output as server-sent events while it is made; `@streaming` or `@streaming()`."""

    def mark(function: Function) -> Function:
        function.__cog_streaming__ = True  # type: ignore[attr-defined]
        return function

    return mark if fn is None else mark(fn)


@overload
def concurrent(fn: Function, *, max: int = 1) -> Function: ...
@overload
def concurrent(fn: None = None, *, max: int = 1) -> Callable[[Function], Function]: ...
def concurrent(fn: Function | None = None, *, max: int = 1) -> Function | Callable[[Function], Function]:
    """Let an `async def run()` serve up to `max` predictions at the same time: `@concurrent(max=8)`.
    Default: 1.

    Raises:
        TypeError: `max` is no int, or it is more than 1 and the function is not async.
        ValueError: `max` is less than 1.
    """
    given: object = max
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(
            f"concurrent(max=...) takes an int, not {max!r}: write for example @concurrent(max=4)."
        )
    if max < 1:
        raise ValueError(f"concurrent(max={max}) allows no prediction at all: max must be at least 1.")

    def mark(function: Function) -> Function:
        if max > 1 and not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            name = getattr(function, "__name__", "the function")
            raise TypeError(
                f"@concurrent(max={max}) needs an async function, because several predictions share "
                "one thread: "
                f"write `async def {name}(...)`, or serve a plain def with more worker processes (--threads)."
            )
        function.__cog_concurrent_max__ = max  # type: ignore[attr-defined]
        return function

    return mark if fn is None else mark(fn)
