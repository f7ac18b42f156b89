"""File work beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Threads of our own: those of the event loop may all be waiting for something that never comes.
_POOL: Final = ThreadPoolExecutor(8, "cog-files")


async def complete(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, done in a thread. A cancellation is held back until the thread is done.

    Without that, a file would be closed or its folder removed while the thread still writes to it.
    """
    future = asyncio.get_running_loop().run_in_executor(_POOL, partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not future.done():
            await asyncio.wait({future})
        raise


def begin(work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Do `work` in a thread; nobody waits for it, and it must not raise."""
    _POOL.submit(partial(work, *args, **kwargs))
