"""How local workers are replaced: the pauses, DEFUNCT, the tries after it, and what is done without a guard."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cog import bundle
from cog.backend import guard, life, pulse, seat
from cog.backend.local import LocalBackend
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.backend.protocol import Order, State
from cog.prediction.events import Done, Event, Log, Source, Status
from support.models import DEAF, SYNC
from support.serving import is_guard, until, write_model

DEADLINE = 20.0


class House:
    """A backend and what it told."""

    def __init__(self, folder: Path, source: str, grace: float, **pool: Any) -> None:
        kit = folder / "kit"
        bundle.build(kit)
        self.model = write_model(folder / "model", source)
        command = (sys.executable, "-u", str(kit))
        spec = Spec(command, "run.py:Runner", str(self.model), dict(os.environ), cancel_grace=grace)
        self.backend = LocalBackend(spec, Pool(**{"wanted": 1, **pool}))
        self._news = asyncio.Event()

    def changed(self) -> None:
        self._news.set()

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        """Nothing."""

    async def until(self, reached: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not reached():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), DEADLINE)

    async def become(self, state: State) -> None:
        await self.until(lambda: self.backend.standing.state is state)

    async def run(self, code: str, *, cancel: bool = False) -> Done:
        ended: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

        begun = asyncio.Event()

        def take(event: Event) -> None:
            if isinstance(event, Log):
                begun.set()
                self.changed()
            if isinstance(event, Done):
                ended.set_result(event)

        run = self.backend.run(Order(b'{"code":"%s"}' % code.encode(), str(self.model / "files")), take)
        if cancel:
            await self.until(begun.is_set)
            run.cancel()
        return await asyncio.wait_for(ended, DEADLINE)


@asynccontextmanager
async def living(folder: Path, source: str = SYNC, grace: float = 10.0, **pool: Any) -> AsyncIterator[House]:
    house = House(folder, source, grace, **pool)
    await house.backend.start(house)
    try:
        yield house
    finally:
        await asyncio.wait_for(house.backend.stop(), 8)


def act(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


def test_the_pauses_are_those_of_the_contract() -> None:
    assert seat.PAUSES == (0.0, 0.5, 1.0, 2.0, 4.0)
    assert (seat.DEATHS, seat.RETRY, life.GRACE) == (5, 60.0, 3.0)
    assert pulse.PAUSE * pulse.SILENT == 5


def test_a_defunct_one_is_tried_again_and_comes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "PAUSES", (0.0,) * 5)
    monkeypatch.setattr(seat, "RETRY", 0.3)

    async def story() -> None:
        async with living(tmp_path) as house:
            for _ in range(5):
                await house.become(State.READY)
                assert "exit code 4" in str((await house.run("os._exit(4)")).error)
                await house.until(lambda: house.backend.slots == 0)
            await house.become(State.DEFUNCT)
            assert "exit code 4" in str(house.backend.standing.cause)
            left = time.monotonic()
            await house.become(State.READY)
            assert time.monotonic() - left >= 0.29
            assert (await house.run("os._exit(5)")).error is not None  # no normal end in between
            await house.become(State.DEFUNCT)
            await house.become(State.READY)
            assert (await house.run("out = 1")).payload == b"1"  # that was one
            assert (await house.run("os._exit(6)")).error is not None
            await house.until(lambda: house.backend.slots == 0)
            assert house.backend.standing.state is State.STARTING
            await house.become(State.READY)

    act(story())


def test_a_setup_that_fails_on_respawn_counts_as_a_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "PAUSES", (0.0,) * 5)
    monkeypatch.setattr(seat, "DEATHS", 2)

    async def story() -> None:
        async with living(tmp_path) as house:
            await house.become(State.READY)
            (house.model / "run.py").write_text(
                "open('tries', 'a').write('x')\nraise RuntimeError('broken meanwhile')\n"
            )
            await house.run("os._exit(1)")
            await house.become(State.DEFUNCT)
            assert (house.model / "tries").read_text() == "x"
            assert "broken meanwhile" in str(house.backend.standing.cause)

    act(story())


def test_a_kill_after_the_grace_is_no_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "PAUSES", (0.0,) * 5)
    monkeypatch.setattr(seat, "DEATHS", 2)

    async def story() -> None:
        async with living(tmp_path, grace=0.0) as house:
            for _ in range(seat.DEATHS):
                await house.become(State.READY)
                assert (await house.run(DEAF, cancel=True)).status is Status.CANCELED
                await house.until(lambda: house.backend.slots == 0)
            await house.become(State.READY)

    act(story())


FURTHER = SYNC.replace(
    "    def run",
    """    def setup(self):
        with open("setups", "a") as file:
            file.write("x")
        if os.path.getsize("setups") > 1:
            raise RuntimeError("no room for a second one")

    def run""",
)


def test_a_further_worker_whose_setup_fails_is_tried_3_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(seat, "PAUSES", (0.0,) * 5)

    async def story() -> None:
        async with living(tmp_path, FURTHER, wanted=2) as house:
            await house.become(State.READY)
            await asyncio.to_thread(
                until, lambda: caplog.text, lambda said: "given up after 3 failed setups" in said
            )
            assert "no room for a second one" in caplog.text
            assert (house.model / "setups").read_text() == "xxxx"
            assert (house.backend.standing.state, house.backend.slots) == (State.READY, 1)
            assert (await house.run("out = 1")).payload == b"1"

    act(story())


def test_a_server_without_a_free_descriptor_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "PAUSES", (0.0, 0.2, 0.2, 0.2, 0.2))

    async def story() -> None:
        async with living(tmp_path) as house:
            await house.become(State.READY)
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            highest = max(int(name) for name in os.listdir("/proc/self/fd"))
            taken = [os.dup(0) for _ in range(highest)]
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, before[1]))
                assert (await house.run("os._exit(1)")).error is not None
                await house.until(lambda: "Too many open files" in str(house.backend.standing.cause))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
                for fd in taken:
                    os.close(fd)
            await house.become(State.READY)
            assert (await house.run("out = 2")).payload == b"2"

    act(story())


def test_without_a_shell_there_is_no_guard_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SHELL", str(tmp_path / "none"))

    async def story() -> None:
        async with living(tmp_path) as house:
            await house.become(State.READY)
            assert (await house.run("os._exit(1)")).error is not None
            await house.until(lambda: house.backend.slots == 0)
            await house.become(State.READY)
            assert (await house.run("out = 3")).payload == b"3"

    act(story())


def test_a_stopped_guard_holds_up_nobody_and_is_replaced(tmp_path: Path) -> None:
    """It reads nothing, so its pipe fills."""

    def guards() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent = path.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == os.getpid() and state != "Z" and is_guard(int(path.parent.name)):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    async def story() -> None:
        keeper = guard.Guard("mark")
        keeper.start(asyncio.get_running_loop())
        (first,) = guards()
        os.kill(first, 19)
        for _ in range(70_000):
            keeper.tell([])
        (second,) = await asyncio.to_thread(
            until, guards, lambda found: len(found) == 1 and found != [first], DEADLINE
        )
        assert second != first
        keeper.stop()
        assert guards() == []

    act(story())


def test_silence_is_counted_in_turns_and_the_first_word_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stood still itself finds one timer due, and the answers in the socket."""
    monkeypatch.setattr(pulse, "PAUSE", 0.05)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        pings: list[float] = []
        changed = asyncio.Event()
        heart = pulse.Pulse(loop, lambda: pings.append(loop.time()), changed.set)
        heart.start()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass  # nothing else can happen here
        await asyncio.sleep(0.06)
        assert (len(pings), heart.frozen) == (1, False)
        await asyncio.wait_for(changed.wait(), 10)
        assert (len(pings), heart.frozen) == (1, True)
        changed.clear()
        heart.heard()
        heart.answered()
        assert changed.is_set()
        assert not heart.frozen
        heart.stop()

    act(story())
