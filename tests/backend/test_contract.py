"""What every backend can do, shown on each of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from cog.backend.local import LocalBackend
from cog.backend.pool import Pool
from cog.backend.protocol import Backend, Order, State
from cog.backend.succession import Succession
from cog.errors import NotReady
from cog.prediction.events import Done, Log, Output, Started, Status
from support.serving import children, write_model
from support.watching import Sink, Watcher, spec_of

MODEL = """
    import os, time
    from pathlib import Path
    from typing import Any, Iterator
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self, act: str, n: int = 0) -> Iterator[Any]:
            print("begin")
            for i in range(n):
                yield i
            if act == "wait":
                Path(f"waiting{n}").touch()
                while True:
                    time.sleep(0.01)
            if act == "die":
                os._exit(9)
            if act == "fail":
                raise ValueError("bad")
"""

Make: TypeAlias = Callable[[Path, Path], Backend]


def local(folder: Path, kit: Path) -> Backend:
    return LocalBackend(spec_of(folder, kit), Pool(wanted=2))


def replaceable(folder: Path, kit: Path) -> Backend:
    spec = spec_of(folder, kit)
    return Succession(lambda aside: LocalBackend(spec, Pool(wanted=2), aside=aside))


BACKENDS: list[Make] = [local, replaceable]


def run(make: Make, tmp_path: Path, test: Callable[[Backend, Watcher], Awaitable[None]]) -> None:
    @asynccontextmanager
    async def started() -> AsyncIterator[tuple[Backend, Watcher]]:
        backend, watcher = make(write_model(tmp_path / "model", MODEL), tmp_path / "kit"), Watcher()
        assert backend.standing.state is State.STARTING
        await backend.start(watcher)
        try:
            await watcher.until(lambda: backend.slots == 2)
            yield backend, watcher
        finally:
            await backend.stop()
        assert not children(os.getpid())

    async def whole() -> None:
        async with started() as (backend, watcher):
            await test(backend, watcher)

    asyncio.run(whole())


def order(tmp_path: Path, text: str) -> Order:
    return Order(text.encode(), str(tmp_path / "out"))


@pytest.mark.parametrize("make", BACKENDS)
def test_events_come_in_order_and_end_once(make: Make, tmp_path: Path) -> None:
    async def test(backend: Backend, watcher: Watcher) -> None:
        sink = Sink()
        backend.run(order(tmp_path, '{"act":"go","n":3}'), sink)
        assert backend.free == 1
        done = await sink.done()
        assert (done.status, done.payload, done.error) == (Status.SUCCEEDED, None, None)
        assert [type(event) for event in sink.events] == [Started, Log, Output, Output, Output, Done]
        assert [event.payload for event in sink.events if isinstance(event, Output)] == [b"0", b"1", b"2"]
        assert done.predict_time is not None
        assert backend.free == 2

    run(make, tmp_path, test)


@pytest.mark.parametrize("make", BACKENDS)
def test_a_failure_is_told_with_its_cause(make: Make, tmp_path: Path) -> None:
    async def test(backend: Backend, watcher: Watcher) -> None:
        sink = Sink()
        backend.run(order(tmp_path, '{"act":"fail","n":1}'), sink)
        done = await sink.done()
        assert (done.status, done.error) == (Status.FAILED, "ValueError: bad")
        logs = "".join(event.text for event in sink.events if isinstance(event, Log))
        assert "Traceback" in logs

    run(make, tmp_path, test)


@pytest.mark.parametrize("make", BACKENDS)
def test_no_more_runs_than_slots(make: Make, tmp_path: Path) -> None:
    async def test(backend: Backend, watcher: Watcher) -> None:
        sinks = [Sink(), Sink()]
        runs = [backend.run(order(tmp_path, '{"act":"wait"}'), sink) for sink in sinks]
        assert backend.free == 0
        with pytest.raises(NotReady):
            backend.run(order(tmp_path, "{}"), Sink())
        for each in runs:
            each.cancel()
            each.cancel()
        assert [(await sink.done()).status for sink in sinks] == [Status.CANCELED] * 2
        await watcher.until(lambda: backend.free == 2)

    run(make, tmp_path, test)


@pytest.mark.parametrize("make", BACKENDS)
def test_a_cancel_before_during_and_after(make: Make, tmp_path: Path) -> None:
    async def test(backend: Backend, watcher: Watcher) -> None:
        before, after = Sink(), Sink()
        backend.run(
            order(tmp_path, '{"act":"wait"}'), before
        ).cancel()  # in the same turn: nothing has been sent yet
        assert (await before.done()).status is Status.CANCELED
        await watcher.until(lambda: backend.free > 0)
        late = backend.run(order(tmp_path, '{"act":"go"}'), after)
        assert (await after.done()).status is Status.SUCCEEDED
        late.cancel()
        await watcher.until(lambda: backend.free == 2)
        for _ in range(50):
            await watcher.until(lambda: backend.free > 0)
            sink = Sink()
            raced = backend.run(order(tmp_path, '{"act":"go","n":2}'), sink)
            await asyncio.sleep(0)
            raced.cancel()
            assert (await sink.done()).status in (Status.SUCCEEDED, Status.CANCELED)
        await watcher.until(lambda: backend.free == 2)

    run(make, tmp_path, test)


@pytest.mark.parametrize("make", BACKENDS)
def test_a_death_ends_its_run_with_the_cause_and_is_repaired(make: Make, tmp_path: Path) -> None:
    async def test(backend: Backend, watcher: Watcher) -> None:
        sink, other = Sink(), Sink()
        waiting = backend.run(order(tmp_path, '{"act":"wait"}'), other)
        backend.run(order(tmp_path, '{"act":"die","n":2}'), sink)
        done = await sink.done()
        assert done.status is Status.FAILED
        assert done.error is not None
        assert "exit code 9" in done.error
        assert [event.payload for event in sink.events if isinstance(event, Output)] == [b"0", b"1"]
        assert not other.ended.is_set()
        await watcher.until(lambda: backend.slots == 2)
        assert backend.standing.state is State.READY
        waiting.cancel()
        await other.done()

    run(make, tmp_path, test)
