"""A backend in the process of a test: what it is told to run, who watches it, and what its runs say."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cog import bundle
from cog.backend.owner import Spec
from cog.prediction.events import Done, Event, Source


def spec_of(folder: Path, kit: Path) -> Spec:
    kit.mkdir()
    bundle.build(kit)
    return Spec(
        (sys.executable, "-u", str(kit)), "run.py:Runner", str(folder), dict(os.environ), cancel_grace=5.0
    )


class Watcher:
    def __init__(self) -> None:
        self.news = asyncio.Condition()
        self.text = ""

    def changed(self) -> None:
        _ = asyncio.ensure_future(self._tell())  # noqa: RUF006

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        self.text += text

    async def until(self, reached: Callable[[], bool]) -> None:
        async with self.news:
            await asyncio.wait_for(self.news.wait_for(reached), 20)


class Sink:
    """Keeps the events of one run."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended = asyncio.Event()

    def __call__(self, event: Event) -> None:
        assert not self.ended.is_set(), f"{event} after the end"
        self.events.append(event)
        if isinstance(event, Done):
            self.ended.set()

    async def done(self) -> Done:
        await asyncio.wait_for(self.ended.wait(), 20)
        last = self.events[-1]
        assert isinstance(last, Done)
        return last
