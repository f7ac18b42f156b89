"""Who looks for more without sleeping, and when: while predictions come one at a time, each soon after the one before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cog.backend import machine, tempo
from cog.backend.local import LocalBackend
from cog.backend.poll import IN_TURN, NEVER, Poll, poll_of
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
    assert poll_of(0.0).seconds == NEVER.seconds == 0
    assert poll_of(0.002) == Poll(0.002, always=True)
    for spare, expected in ((True, IN_TURN), (False, NEVER)):
        monkeypatch.setattr(machine, "has_two_to_spare", lambda spare=spare: spare)
        assert poll_of(None) == expected


@pytest.mark.parametrize(
    ("processors", "quotas", "spare"),
    [
        (1, {"cpu.max": "max 100000"}, False),
        (2, {"cpu.max": "max 100000"}, True),
        (2, {"cpu.max": "150000 100000"}, False),
        (8, {"cpu.max": "200000 100000"}, False),
        (8, {"cpu.max": "300000 100000"}, True),
        (8, {}, True),
        (8, {"pod/cpu.max": "150000 100000", "pod/this/cpu.max": "max 100000"}, False),
        (8, {"pod/this/cpu.max": "150000 100000"}, False),
        (8, {"pod/this/deeper/cpu.max": "150000 100000", "other/cpu.max": "150000 100000"}, True),
        (8, {"cpu/pod/cpu.cfs_quota_us": "150000", "cpu/pod/cpu.cfs_period_us": "100000"}, False),
        (8, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, True),
    ],
)
def test_a_quota_that_two_could_use_up_is_too_small(
    processors: int, quotas: dict[str, str], spare: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(processors)))
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_OWN", tmp_path / "own")
    (tmp_path / "own").write_text("7:cpuset:/elsewhere\n4:cpu,cpuacct:/pod\n1:name=systemd:/\n0::/pod/this\n")
    for name, quota in quotas.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(quota)
    assert machine.has_two_to_spare() is spare


class Ear:
    """A worker: what it is told."""

    def __init__(self) -> None:
        self.said: list[Down] = []

    @property
    def tell(self) -> Callable[[Down], object]:
        return self.said.append


ROW: Final = tempo._ROW
SHORT: Final = 0.4  # seconds, in which the next order comes even on a busy machine


def turn(kept: Tempo, worker: Ear, *, alone: bool = True, run: float = 0.0, pause: float = 0.0) -> None:
    """One prediction: its order, its end, and what there is until the next one; seconds."""
    if kept.told or kept.row:
        kept.comes(worker, alone=alone)
    time.sleep(run)  # that is what it is about
    kept.ended()
    time.sleep(pause)


def looking(kept: Tempo, worker: Ear) -> None:
    for _ in range(2 * ROW + 2):
        turn(kept, worker)
    assert worker.said.pop() == Look(SHORT)


def test_both_look_after_so_many_in_a_row() -> None:
    async def story() -> None:
        kept, worker = Tempo(Poll(SHORT, always=False), asyncio.get_running_loop()), Ear()
        for _ in range(ROW + 1):  # the first has none before it
            turn(kept, worker)
            assert worker.said == []
        turn(kept, worker)
        assert worker.said == [Look(SHORT)]
        for _ in range(100):
            turn(kept, worker)
        assert worker.said == [Look(SHORT)]

    act(story())


@pytest.mark.parametrize(
    "otherwise", [{"alone": False}, {"run": 1.2 * SHORT}, {"pause": 1.2 * SHORT}], ids=str
)
def test_what_comes_otherwise_now_and_then_is_let_pass_and_more_of_it_ends_it(
    otherwise: dict[str, Any],
) -> None:
    async def story() -> None:
        kept, worker = Tempo(Poll(SHORT, always=False), asyncio.get_running_loop()), Ear()
        looking(kept, worker)
        turn(kept, worker, **otherwise)
        turn(kept, worker)
        assert worker.said == []
        turn(kept, worker, **otherwise)
        turn(kept, worker)
        assert worker.said == [Look(0.0)]

    act(story())


def test_an_order_out_of_the_queue_comes_before_anybody_knows_of_the_end() -> None:
    async def story() -> None:
        kept, worker = Tempo(Poll(SHORT, always=False), asyncio.get_running_loop()), Ear()
        for _ in range(100):
            turn(kept, worker)
            if kept.told or kept.row:
                kept.comes(worker, alone=True)
            if kept.told or kept.row:
                kept.comes(worker, alone=True)  # the end of the one before made room for it
        assert worker.said == []

    act(story())


def test_another_worker_looks_in_the_place_of_the_one_before() -> None:
    async def story() -> None:
        kept, worker, heir = Tempo(Poll(SHORT, always=False), asyncio.get_running_loop()), Ear(), Ear()
        looking(kept, worker)
        turn(kept, heir)
        assert (worker.said, heir.said) == ([Look(0.0)], [Look(SHORT)])

    act(story())


def test_who_was_told_so_always_looks() -> None:
    async def story() -> None:
        kept, worker = Tempo(Poll(0.01), asyncio.get_running_loop()), Ear()
        kept.ready(worker)
        for alone in (True, False, False, True):
            turn(kept, worker, alone=alone)
            assert kept.row  # it wants to know of others too
        assert worker.said == [Look(0.01)]

    act(story())


def test_nobody_looks_who_was_told_never_to() -> None:
    async def story() -> None:
        kept, worker = Tempo(NEVER, asyncio.get_running_loop()), Ear()
        kept.ready(worker)
        for _ in range(100):
            turn(kept, worker)
        assert (worker.said, kept.told, kept.row) == ([], False, 0)

    act(story())


class House:
    """A backend, and what its workers compute."""

    def __init__(self, backend: LocalBackend, watcher: Watcher, folder: Path) -> None:
        self.backend = backend
        self._watcher = watcher
        self._folder = folder

    def give(self, code: str) -> Sink:
        sink = Sink()
        _ = self.backend.run(Order(b'{"code":"%s"}' % code.encode(), str(self._folder)), sink)
        return sink

    async def predict(self, code: str, together: int = 1) -> None:
        for sink in [self.give(code) for _ in range(together)]:
            await sink.done()
        await self._watcher.until(lambda: self.backend.busy == 0)

    async def computed(self) -> float:
        """Seconds of processor time that a worker takes, at most, in twice the time that one looks (Linux, sched-stats.rst)."""
        paths = [Path(f"/proc/{worker.pid}/schedstat") for worker in self.backend._workers]
        before = [int(path.read_text().split()[0]) for path in paths]
        await asyncio.sleep(2 * LONG)  # what is measured is a time
        return (
            max(int(path.read_text().split()[0]) - then for path, then in zip(paths, before, strict=True))
            / 1e9
        )

    async def looks(self, code: str) -> None:
        """Return once a worker was seen to look; who has to share the processor sleeps."""
        deadline = time.monotonic() + 30
        while await self.computed() < LONG / 5:
            assert time.monotonic() < deadline
            for _ in range(3 * ROW):
                await self.predict(code)


@asynccontextmanager
async def living(tmp_path: Path, source: str, workers: int = 1) -> AsyncIterator[House]:
    folder = write_model(tmp_path / "model", source)
    spec = replace(spec_of(folder, tmp_path / "kit"), busy_poll=Poll(LONG, always=False))
    backend, watcher = LocalBackend(spec, Pool(wanted=workers)), Watcher()
    await backend.start(watcher)
    try:
        await watcher.until(lambda: backend.standing.state is State.READY)
        await asyncio.wait_for(backend.grown.wait(), 20)
        yield House(backend, watcher, folder)
    finally:
        await asyncio.wait_for(backend.stop(), 8)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_worker_looks_while_they_come_one_at_a_time_only(tmp_path: Path, kind: str) -> None:
    code, source = ("out = 1", SYNC) if kind == "sync" else ("return 1", ASYNC)

    async def story() -> None:
        async with living(tmp_path, source) as house:
            await house.looks(code)
            for _ in range(3):  # late
                await house.predict(code)
                assert house.backend.busy == 0
                await house.computed()
            assert await house.computed() < LONG / 5

    act(story())


@pytest.mark.parametrize(("source", "code", "workers"), [(ASYNC, "return 1", 1), (SYNC, "out = 1", 2)])
def test_those_who_get_several_at_once_sleep(tmp_path: Path, source: str, code: str, workers: int) -> None:
    async def story() -> None:
        async with living(tmp_path, source, workers) as house:
            await house.looks(code)
            for _ in range(3):
                await house.predict(code, together=2)
            assert await house.computed() < LONG / 5
            for _ in range(3 * ROW):
                await house.predict(code, together=2)
            assert await house.computed() < LONG / 5

    act(story())
