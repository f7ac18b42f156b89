"""Trying again: which answers are worth it, how long to wait in between."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeVar

from cog.net.errors import NetError

T = TypeVar("T")

_log = logging.getLogger("cog.net")

# The client gave up on us (408), asks for less (429), or is in trouble itself (5xx): all of these pass.
_PASSING: Final = frozenset({408, 429})
# A server may ask for any wait; somebody waits for the prediction.
_LONGEST_ASKED: Final = 30


def answered(status: int, headers: Mapping[str, str]) -> NetError:
    """The error for an answer with this status, which is not the one that was hoped for."""
    return NetError(
        f"the server answered {describe(status)}",
        retryable=status in _PASSING or status >= 500,
        retry_after=retry_after(headers.get("Retry-After", "")),
    )


def describe(status: int) -> str:
    """`404 Not Found`, in the words of the standard: a server may send any others."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def retry_after(text: str) -> int | None:
    """Seconds that a Retry-After header asks for, None when it holds nothing of use."""
    # The other form is a date; with clocks that differ it is not worth reading.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


async def retried(act: Callable[[], Awaitable[T]], *, attempts: int, backoff: float) -> T:
    """What `act` returns, called up to `attempts` times while it raises a NetError that is worth another try.

    `backoff` is the first wait in seconds, doubled each time, with jitter so that many clients do not come
    back at once; a longer wait that the other server asked for is kept, up to 30 s.

    Raises:
        NetError: the last one.
    """
    for attempt in range(1, attempts):
        try:
            return await act()
        except NetError as error:
            if not error.retryable:
                raise
            wait = random.uniform(0.5, 1.0) * backoff * 2 ** (attempt - 1)
            wait = max(wait, min(error.retry_after or 0, _LONGEST_ASKED))
            _log.info(
                "another try in %.1f s: %s",
                wait,
                error,
                extra={"fields": {"attempt": attempt, "of": attempts}},
            )
        await asyncio.sleep(wait)
    return await act()
