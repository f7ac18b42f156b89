"""Decorators for `run()`. They mark the function and return it as it is: nothing is wrapped."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar, overload

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


class Batching(NamedTuple):
    """What `@batch` said; see there."""

    max_size: int
    max_wait: float
    same: tuple[str, ...]


@overload
def batch(
    fn: Function, *, max_size: int = 8, max_wait: float = 0.005, same: Iterable[str] = ()
) -> Function: ...
@overload
def batch(
    fn: None = None, *, max_size: int = 8, max_wait: float = 0.005, same: Iterable[str] = ()
) -> Callable[[Function], Function]: ...
def batch(
    fn: Function | None = None, *, max_size: int = 8, max_wait: float = 0.005, same: Iterable[str] = ()
) -> Function | Callable[[Function], Function]:
    """Let `run()` answer several predictions in one call: `@batch(max_size=16)`.

    Each parameter is then a list with one item for each prediction, `text: list[str]`, and `run()` returns, or yields,
    lists of as many items in the same order. An exception among the items fails that prediction alone; in a list that
    is yielded, None stands for no chunk and `StopIteration()` for the end. `max_wait` is in seconds: so long the first
    prediction waits for others while the model is idle. Parameters named in `same` are no lists: predictions with
    other values in them never share a call. Clients see a model of single predictions.

    Raises:
        TypeError: an argument is of another type than its default.
        ValueError: `max_size` is less than 1, or `max_wait` is negative or not finite.
    """
    rule = _batching(max_size, max_wait, same)

    def mark(function: Function) -> Function:
        function.__cog_batch__ = rule  # type: ignore[attr-defined]
        return function

    return mark if fn is None else mark(fn)


def _batching(max_size: Any, max_wait: Any, same: Any) -> Batching:
    if not isinstance(max_size, int) or isinstance(max_size, bool):
        raise TypeError(
            f"batch(max_size=...) takes an int, not {max_size!r}: write for example @batch(max_size=8)."
        )
    if max_size < 1:
        raise ValueError(
            f"batch(max_size={max_size}) allows no prediction at all: max_size must be at least 1."
        )
    if not isinstance(max_wait, (int, float)) or isinstance(max_wait, bool):
        raise TypeError(
            f"batch(max_wait=...) takes seconds, not {max_wait!r}: write for example max_wait=0.005."
        )
    if not 0 <= max_wait < math.inf:
        raise ValueError(f"batch(max_wait={max_wait}) is no time to wait: write seconds, 0 for none.")
    names = () if isinstance(same, str) or not isinstance(same, Iterable) else tuple(same)
    if (not names and same != () and same != []) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"batch(same=...) takes names of parameters, not {same!r}: write for example same=('model', 'steps')."
        )
    return Batching(max_size, float(max_wait), names)
