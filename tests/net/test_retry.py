"""Which answers are worth another try."""

from __future__ import annotations

import asyncio

import pytest

from cog.net.errors import NetError
from cog.net.retry import answered, retried


@pytest.mark.parametrize(
    ("status", "again"), [(408, True), (429, True), (500, True), (503, True), (404, False)]
)
def test_statuses(status: int, again: bool) -> None:
    assert answered(status, {}).retryable is again


@pytest.mark.parametrize(("text", "wait"), [("7", 7), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("²", None)])
def test_retry_after(text: str, wait: int | None) -> None:
    assert answered(503, {"Retry-After": text}).retry_after == wait


def test_an_unknown_status_has_its_number() -> None:
    assert str(answered(599, {})) == "the server answered 599"
    assert str(answered(404, {})) == "the server answered 404 Not Found"


def test_another_try_helps() -> None:
    calls = []

    async def act() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise NetError("not yet")
        return "there"

    assert asyncio.run(retried(act, attempts=3, backoff=0.001)) == "there"


def test_the_last_error_is_raised() -> None:
    calls = []

    async def act() -> str:
        calls.append(1)
        raise NetError(f"error {len(calls)}")

    with pytest.raises(NetError, match="error 4"):
        asyncio.run(retried(act, attempts=4, backoff=0.001))


def test_what_cannot_get_better_is_not_tried_again() -> None:
    calls = []

    async def act() -> str:
        calls.append(1)
        raise NetError("never", retryable=False)

    with pytest.raises(NetError, match="never"):
        asyncio.run(retried(act, attempts=4, backoff=0.001))
    assert calls == [1]
