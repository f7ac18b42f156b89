"""The model's own `healthcheck()`: asked of each worker, one run at a time, and judged over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

TIMEOUT: Final = 5.0  # seconds; from the contract


class Verdict(NamedTuple):
    """What one worker's check says; `said` is what it raised, or why there is no answer."""

    healthy: bool
    said: str | None


class Patient(Protocol):
    """A worker that can be asked."""

    @property
    def index(self) -> int:
        """Its number."""

    async def check_health(self) -> Verdict:
        """Its verdict."""


class Checkup:
    """The check of one worker. All who ask share the run that is under way, however long it takes: one that hangs is
    never started a second time, and from its fifth second on the answer to everybody is no, at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[int], object]) -> None:
        """`send` asks the worker, with a number that comes back with its answer."""
        self._loop = loop
        self._send = send
        self._number = 0
        self._asked_at = 0.0
        self._answer: asyncio.Future[Verdict] | None = None

    async def ask(self) -> Verdict:
        """The verdict; not answering for 5 seconds is a no."""
        answer = self._answer
        if answer is None or answer.done():
            answer = self._answer = self._loop.create_future()
            self._number += 1
            self._asked_at = self._loop.time()
            self._send(self._number)
        left = self._asked_at + TIMEOUT - self._loop.time()
        await asyncio.wait([answer], timeout=max(0.0, left))
        if answer.done():
            return answer.result()
        return Verdict(False, f"user-defined healthcheck timed out after {TIMEOUT} seconds")

    def take(self, number: int, verdict: Verdict) -> None:
        """The worker has answered."""
        if number == self._number:
            self.end(verdict)

    def end(self, verdict: Verdict) -> None:
        """Whoever waits gets this."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(verdict)


async def judge(asked: Sequence[Patient], several: bool) -> str | None:
    """None as soon as one of `asked` is healthy, else what is wrong; `several` names the workers in it."""
    waiting = {asyncio.ensure_future(worker.check_health()): worker for worker in asked}
    said: dict[int, str] = {}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                verdict = task.result()
                if verdict.healthy:
                    return None
                said[waiting.pop(task).index] = verdict.said or "user-defined healthcheck returned False"
    finally:
        for task in waiting:
            task.cancel()
    if several:
        return "Healthcheck failed: " + "; ".join(f"worker {i}: {said[i]}" for i in sorted(said))
    return f"Healthcheck failed: {next(iter(said.values()))}"
