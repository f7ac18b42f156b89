"""Who looks for more without sleeping, and when: while predictions come one at a time, each soon after the one before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cog.backend import machine, tempo
from cog.backend.local import LocalBackend
from cog.backend.poll import IN_TURN, NEVER, Poll, choose
from cog.backend.pool import Pool
from cog.backend.protocol import Order, State
from cog.backend.tempo import Tempo
from cog.worker.messages import Down, Look
from support.models import ASYNC, SYNC
from support.serving import write_model
from support.watching import Sink, Watcher, spec_of

LONG: Final = 0.05  # seconds that one looks, and in which the next prediction comes even on a busy machine


def act(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def test_what_is_said_counts_and_else_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(0.0).seconds == NEVER.seconds == 0
    assert choose(0.002) == Poll(0.002, always=True)
    for spare, expected in ((True, IN_TURN), (False, NEVER)):
        monkeypatch.setattr(machine, "has_two_to_spare", lambda spare=spare: spare)
        assert choose(None) == expected


@pytest.mark.parametrize(
    ("processors", "quota", "spare"),
    [
        (1, "max 100000", False),
        (2, "max 100000", True),
        (2, "150000 100000", False),
        (8, "200000 100000", False),
        (8, "300000 100000", True),
        (8, None, True),
    ],
)
def test_a_quota_that_two_could_use_up_is_too_small(
    processors: int, quota: str | None, spare: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(processors)))
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert machine.has_two_to_spare() is spare


def test_both_look_from_the_16th_in_a_row_until_others_come_between_or_one_is_late() -> None:
    async def story() -> None:
        said: list[Down] = []
        kept = Tempo(Poll(0.2, always=False), asyncio.get_running_loop(), said.append)
        kept.comes(alone=True)
        assert kept.row == 0  # there was none before it
        for number in range(1, tempo._ROW + 5):
            kept.comes(alone=True)
            assert kept.row == number
            assert kept.looks is (number >= tempo._ROW)
        assert said == [Look(0.2)]
        kept.comes(alone=False)
        assert (kept.row, kept.looks, said.pop()) == (0, False, Look(0.0))
        for _ in range(tempo._ROW):
            kept.comes(alone=True)
        assert kept.looks
        time.sleep(0.25)  # that is what it is about
        kept.comes(alone=True)
        assert (kept.row, kept.looks, said) == (0, False, [Look(0.2), Look(0.2), Look(0.0)])

    act(story())


def test_who_was_told_so_always_looks() -> None:
    async def story() -> None:
        said: list[Down] = []
        kept = Tempo(Poll(0.01), asyncio.get_running_loop(), said.append)
        for alone in (True, False, False, True):
            kept.comes(alone=alone)
            assert kept.row  # it wants to know of others too
            assert kept.looks
        assert said == [Look(0.01)]

    act(story())


class House:
    """A backend with one worker, and what that has computed."""

    def __init__(self, backend: LocalBackend, watcher: Watcher, folder: Path) -> None:
        self.backend = backend
        self._watcher = watcher
        self._folder = folder

    def give(self, code: str) -> Sink:
        sink = Sink()
        _ = self.backend.run(Order(b'{"code":"%s"}' % code.encode(), str(self._folder)), sink)
        return sink

    async def predict(self, code: str) -> None:
        await self.give(code).done()
        await self._watcher.until(lambda: self.backend.free > 0)

    async def computed(self) -> float:
        """Seconds of processor time that the worker takes in the time that one looks (Linux, sched-stats.rst)."""
        path = Path(f"/proc/{self.backend._workers[0].pid}/schedstat")
        before = int(path.read_text().split()[0])
        await asyncio.sleep(2 * LONG)  # what is measured is a time
        return (int(path.read_text().split()[0]) - before) / 1e9


@asynccontextmanager
async def living(tmp_path: Path, source: str) -> AsyncIterator[House]:
    folder = write_model(tmp_path / "model", source)
    spec = replace(spec_of(folder, tmp_path / "kit"), busy_poll=Poll(LONG, always=False))
    backend, watcher = LocalBackend(spec, Pool(wanted=1)), Watcher()
    await backend.start(watcher)
    try:
        await watcher.until(lambda: backend.standing.state is State.READY)
        yield House(backend, watcher, folder)
    finally:
        await asyncio.wait_for(backend.stop(), 8)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_worker_looks_while_they_come_one_at_a_time_only(tmp_path: Path, kind: str) -> None:
    code, source = ("out = 1", SYNC) if kind == "sync" else ("return 1", ASYNC)

    async def story() -> None:
        async with living(tmp_path, source) as house:
            deadline = time.monotonic() + 30
            looked = 0.0
            while looked < LONG / 5:  # who has to share the processor sleeps
                assert time.monotonic() < deadline, looked
                for _ in range(2 * tempo._ROW):
                    await house.predict(code)
                looked = await house.computed()
            await house.predict(code)  # late
            assert await house.computed() < LONG / 5

    act(story())


def test_a_worker_of_many_at_once_sleeps(tmp_path: Path) -> None:
    async def story() -> None:
        async with living(tmp_path, ASYNC) as house:
            for _ in range(2 * tempo._ROW):
                await house.predict("return 1")
            for sink in [house.give("return 1"), house.give("return 2")]:
                await sink.done()
            assert await house.computed() < LONG / 5

    act(story())
