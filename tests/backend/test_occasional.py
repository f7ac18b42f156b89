"""What is run seldom: nothing is loaded before it is asked for, one run at a time, and nothing is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cog.backend.local import LocalBackend
from cog.backend.occasional import Occasional
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.backend.protocol import Order, State
from cog.errors import NotReady
from cog.prediction.events import Done, Log, Output, Started, Status
from support.models import WAITING
from support.serving import children
from support.watching import Sink, Watcher, spec_of

TRAIN = f"""
{WAITING}
from typing import Iterator

open("imports", "a").write("x")
if os.path.exists("slow"):
    mark("importing")
    hold("go")
VERSION = 1

def train(act: str = "") -> Iterator[int]:
    print("begin")
    yield 1
    exec(act)
"""


def run(
    tmp_path: Path, test: Callable[[Occasional, Watcher, Path], Awaitable[None]], retry: float = 10.0
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    spec: Spec = replace(spec_of(folder, tmp_path / "kit"), reference="train.py:train", train=True)

    def make(survey: bool) -> LocalBackend:
        return LocalBackend(replace(spec, survey=survey), Pool(1, 1), aside=True)

    async def whole() -> None:
        backend, watcher = Occasional(make, "train.py:train", retry=retry), Watcher()
        await backend.start(watcher)
        try:
            await test(backend, watcher, folder)
        finally:
            await backend.stop()
        assert not children(os.getpid())

    asyncio.run(whole())


def order(folder: Path, text: str = "{}") -> Order:
    return Order(text.encode(), str(folder / "out"))


async def appears(path: Path) -> None:
    async def look() -> None:
        while not path.exists():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(look(), 20)


def imports(folder: Path) -> int:
    path = folder / "imports"
    return len(path.read_text()) if path.exists() else 0


def test_the_signature_is_read_once_for_all_who_ask(tmp_path: Path) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        assert (backend.standing.state, backend.signature, imports(folder)) == (State.STARTING, None, 0)
        await asyncio.gather(*(backend.learn() for _ in range(5)))
        await backend.learn()
        assert backend.standing.state is State.READY
        assert backend.signature is not None
        assert [parameter.name for parameter in backend.signature.parameters] == ["act"]
        assert imports(folder) == 1
        assert not children(os.getpid())

    run(tmp_path, test)


def test_a_run_has_a_worker_and_the_next_one_waits_for_its_end(tmp_path: Path) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        sink = Sink()
        late = backend.run(order(folder), sink)
        assert [type(event) for event in sink.events] == [Started]
        assert (backend.slots, backend.free) == (1, 0)
        with pytest.raises(NotReady):
            backend.run(order(folder), Sink())
        done = await sink.done()
        assert (done.status, backend.free) == (Status.SUCCEEDED, 0)
        assert [type(event) for event in sink.events] == [Started, Log, Output, Done]
        await watcher.until(lambda: backend.free == 1)
        assert not children(os.getpid())
        late.cancel()  # too late: nothing changes
        assert len(sink.events) == 4

    run(tmp_path, test)


@pytest.mark.parametrize("way", ["cancel", "stop"])
def test_it_ends_while_its_worker_is_set_up(tmp_path: Path, way: str) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        (folder / "slow").touch()
        sink = Sink()
        begun = backend.run(order(folder), sink)
        await appears(folder / "importing")
        if way == "cancel":
            begun.cancel()
            begun.cancel()
        else:
            await backend.stop()
        assert (await sink.done()).status is Status.CANCELED
        await watcher.until(lambda: backend.free == 1)
        assert not children(os.getpid())

    run(tmp_path, test)


def test_an_order_that_was_never_read_is_not_given_again(tmp_path: Path) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        sink = Sink()
        backend.run(order(folder, '{"act": "os._exit(9)"}'), sink)
        done = await sink.done()
        assert (done.status, done.unseen) == (Status.FAILED, False)
        assert "exit code 9" in str(done.error)

    run(tmp_path, test)


def test_the_end_does_not_wait_for_an_import(tmp_path: Path) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        (folder / "slow").touch()
        asking = asyncio.ensure_future(backend.learn())
        await appears(folder / "importing")
        backend.let_go()
        await asyncio.wait_for(asking, 20)
        assert backend.standing.state is State.STARTING

    run(tmp_path, test)


def test_a_change_while_it_is_read_counts(tmp_path: Path) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        (folder / "slow").touch()
        asking = asyncio.ensure_future(backend.learn())
        await appears(folder / "importing")
        (folder / "train.py").write_text("def train(other: int) -> int: ...")
        backend.forget()
        (folder / "go").touch()
        await asyncio.wait_for(asking, 20)
        assert backend.signature is not None
        assert [parameter.name for parameter in backend.signature.parameters] == ["other"]

    run(tmp_path, test)


@pytest.mark.parametrize("retry", [0.0, 60.0])
def test_what_cannot_be_loaded_is_tried_again_after_a_while(tmp_path: Path, retry: float) -> None:
    async def test(backend: Occasional, watcher: Watcher, folder: Path) -> None:
        (folder / "train.py").write_text("raise MemoryError('too much')")
        await backend.learn()
        assert (backend.standing.state, backend.standing.cause) == (
            State.SETUP_FAILED,
            "MemoryError: too much",
        )
        (folder / "train.py").write_text(TRAIN)
        await backend.learn()
        assert backend.standing.state is (State.READY if retry == 0 else State.SETUP_FAILED)

    run(tmp_path, test, retry)
