"""Several works at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def all_of(works: list[Coroutine[None, None, None]]) -> None:
    """Run all of them at once; when one fails the others are cancelled, and done, before the error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
