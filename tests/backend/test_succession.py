"""How one version of a model follows another, where a server would take long to get there."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cog import bundle
from cog.backend import machine, seat
from cog.backend.local import LocalBackend
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.backend.protocol import Order, Run, State
from cog.backend.succession import Succession
from cog.prediction.events import Done, Event, Source
from cog.signature.facts import Signature
from support.models import SYNC
from support.serving import children, write_model

DEADLINE = 20.0


class House:
    """A succession and what it told. The model runs the code it is sent, and `VERSION` is there for that."""

    def __init__(self, folder: Path, workers: int) -> None:
        kit = folder / "kit"
        bundle.build(kit)
        self.folder = folder / "model"
        self.write("1")
        spec = Spec(
            (sys.executable, "-u", str(kit), "--fresh"), "run.py:Runner", str(self.folder), dict(os.environ)
        )
        self.backend = Succession(lambda aside: LocalBackend(spec, Pool(workers), aside=aside))
        self._news = asyncio.Event()

    def write(self, version: str) -> None:
        write_model(self.folder, f"{SYNC}\nVERSION = {version}\n")

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

    def begin(self, code: str, model: Signature | None = None) -> tuple[Run, asyncio.Future[Done]]:
        ended: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

        def take(event: Event) -> None:
            if isinstance(event, Done):
                ended.set_result(event)

        order = Order(b'{"code":"%s"}' % code.encode(), str(self.folder / "files"), model=model)
        return self.backend.run(order, take), ended

    async def run(self, code: str) -> Done:
        return await asyncio.wait_for(self.begin(code)[1], DEADLINE)


def act(tmp_path: Path, story: Callable[[House], Coroutine[Any, Any, None]], workers: int = 1) -> None:
    @asynccontextmanager
    async def living() -> AsyncIterator[House]:
        house = House(tmp_path, workers)
        await house.backend.start(house)
        try:
            yield house
        finally:
            await asyncio.wait_for(house.backend.stop(), 12)
        assert not children(os.getpid())

    async def whole() -> None:
        async with living() as house:
            await house.until(lambda: house.backend.slots == workers)
            await story(house)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_a_defunct_model_is_replaced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "PAUSES", (0.0,) * 5)

    async def story(house: House) -> None:
        while house.backend.standing.state is not State.DEFUNCT:
            assert (await house.run("os._exit(4)")).error is not None
            await house.until(lambda: house.backend.slots == 0)
            await house.until(lambda: house.backend.standing.state is not State.STARTING)
        house.write("2")
        house.backend.replace()
        await house.until(lambda: house.backend.standing.state is State.READY)
        assert (await house.run("out = VERSION")).payload == b"2"

    act(tmp_path, story)


def test_workers_that_found_no_room_come_when_the_old_ones_have_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "group"
    group.mkdir()
    monkeypatch.setattr(machine, "_CGROUP", group)

    def leave(mebibytes: int) -> None:
        (group / "memory.max").write_text(str(1 << 40))
        (group / "memory.current").write_text(str((1 << 40) - mebibytes * 2**20))

    async def story(house: House) -> None:
        _, ended = house.begin("hold('go')")
        leave(1)
        house.write("2")
        house.backend.replace()
        while (await house.run("out = VERSION")).payload != b"2":
            pass
        assert (house.backend.slots, house.backend.free) == (2, 1)  # one worker, and the run of the old one
        leave(10_000)
        (house.folder / "go").touch()
        await ended
        await house.until(lambda: house.backend.free == 2)

    leave(10_000)
    act(tmp_path, story, workers=2)


def test_an_order_for_a_model_that_is_gone_runs_on_the_one_that_is_there(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        old = house.backend.signature
        write_model(house.folder, SYNC.replace("d: dict = None", "d: dict = None, e: int = 0"))
        house.backend.replace()
        await house.until(lambda: house.backend.signature is not old)
        await house.until(lambda: house.backend.free == 1)
        _, ended = house.begin("out = 5", model=old)
        assert (await asyncio.wait_for(ended, DEADLINE)).payload == b"5"

    act(tmp_path, story)


def test_the_signature_is_the_same_object_while_it_says_the_same(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        first = house.backend.signature
        house.write("2")
        house.backend.replace()
        while (await house.run("out = VERSION")).payload != b"2":
            pass
        assert house.backend.signature is first
        # For Python 0, False and 0.0 are equal; for clients they are not.
        for number, default in enumerate(("0", "False"), start=3):
            before = house.backend.signature
            write_model(
                house.folder,
                f"{SYNC.replace('d: dict', f'n: Any = {default}, d: dict')}\nVERSION = {number}\n",
            )
            house.backend.replace()
            await house.until(lambda before=before: house.backend.signature is not before)  # type: ignore[misc]

    act(tmp_path, story)
