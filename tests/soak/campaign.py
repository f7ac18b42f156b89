"""Load on three servers while their workers are killed, and what must be true when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from machine.subject import Subject, descriptors, resident, subject, zombies
from soak.load import Load
from soak.models import ASYNC, STREAM, SYNC
from soak.outside import Outside, outside

KEEP: Final = 5.0  # seconds
SETTLED: Final = 0.2  # seconds of quiet before anything is measured
DIED: Final = {"a worker ended and is replaced", "setup of a worker failed"}


class Kind(NamedTuple):
    """One server: its model, its flags, how many clients it has."""

    name: str
    source: str
    flags: tuple[str, ...]
    clients: int


KINDS: Final = (
    Kind("plain def, 2 workers", SYNC, ("--threads", "2"), 3),
    Kind("generator, 1 worker", STREAM, ("--threads", "1"), 2),
    Kind("async def, 8 slots", ASYNC, (), 6),
)


class Measure(NamedTuple):
    """A server at rest: resident bytes, open descriptors, and what its predictions left on disk."""

    memory: int
    descriptors: int
    folders: int


@dataclass
class Site:
    """A server under load."""

    kind: Kind
    subject: Subject
    load: Load
    kills: int = 0
    ends: int = 0
    before: Measure | None = None
    after: Measure | None = None
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def read_log(self) -> None:
        """Take what the server has logged; only deaths may be errors."""
        for line in self.subject.server.take_lines():
            message = str(line["fields"].get("message", ""))
            own = line.get("target") not in ("cog.prediction", "cog.worker")
            self.ends += message == "a worker ended and is replaced"
            if own and (line["level"] in ("ERROR", "WARNING") or "Traceback" in message):
                self.errors[message.partition("\n")[0][:100]] += 1
                if not message.startswith(tuple(DIED)):
                    self.wrong.append(f"in the log: {message} {str(line)[-1200:]}")


async def _kill_now_and_then(site: Site, every: float, chance: random.Random) -> None:
    """Kill one worker each `every` seconds, but never a second time before anything went well again: workers that die
    and die without an end in between are what DEFUNCT is for. Nor one that may be in its setup: an additional worker
    is given up after three of these."""
    tally = site.load.tally
    while True:
        old = await asyncio.to_thread(site.subject.server.workers)
        await asyncio.sleep(every)
        while tally.killed_at is not None or not site.load.open.is_set():
            await asyncio.sleep(0.01)
        workers = await asyncio.to_thread(site.subject.server.workers)
        victims = [pid for pid in workers if pid in old] or workers
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                site.kills += 1
                tally.killed_at = time.monotonic()


async def _watch_log(site: Site) -> None:
    while True:
        await asyncio.sleep(1)
        site.read_log()


async def _settled(site: Site) -> Measure:
    """Let everything end and everything kept be forgotten, then measure."""
    site.load.open.clear()
    while site.load.busy:
        await asyncio.sleep(0.01)
    site.load.tally.killed_at = None  # what follows is a pause, not a recovery
    await asyncio.sleep(KEEP + SETTLED)
    server = site.subject.server
    await asyncio.to_thread(server.wait_health, "READY", timeout=15)
    kept = await asyncio.to_thread(server.get, "/predictions")
    if kept.json()["results"]:
        site.wrong.append(f"something still runs, or is kept for too long: {kept.body[:500]!r}")
    if found := await asyncio.to_thread(zombies, server):
        site.wrong.append(f"zombies: {found}")
    return Measure(resident(server), descriptors(server), site.subject.folders())


@contextlib.contextmanager
def _servers(root: Path, around: Outside) -> Iterator[list[tuple[Kind, Subject]]]:
    with contextlib.ExitStack() as stack:
        running = []
        for number, kind in enumerate(KINDS):
            flags = (*kind.flags, "--keep", f"{KEEP:g}")
            if kind.source is ASYNC:
                flags += ("--upload-url", around.url + "/uploads/")
            started = subject(root / str(number), kind.source, *flags)
            running.append((kind, stack.enter_context(started)))
        yield running


@contextlib.asynccontextmanager
async def _tasks(works: Sequence[Any]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
        for task in tasks:
            assert not task.done(), f"ended too early: {task!r}"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def campaign(
    root: Path, seconds: float, warm_up: float, every: float = 1.0, seed: int = 0
) -> list[Site]:
    """`seconds` of load after `warm_up` seconds of the same, a kill on each server `every` second."""
    chance = random.Random(seed)
    async with (
        outside() as around,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2),
            timeout=aiohttp.ClientTimeout(total=60),
        ) as session,
    ):
        with _servers(root, around) as running:
            sites = [
                Site(
                    kind,
                    one,
                    Load(one.server.url, kind.source is STREAM, around, session, chance),
                )
                for kind, one in running
            ]
            works: list[Any] = []
            for site in sites:
                works += [site.load.client() for _ in range(site.kind.clients)]
                works += [_kill_now_and_then(site, every, chance), _watch_log(site)]
            async with _tasks(works):
                await _under_load(sites, warm_up)
                for site, measure in zip(sites, await asyncio.gather(*map(_settled, sites)), strict=True):
                    site.before = measure
                await _under_load(sites, seconds)
                for site, measure in zip(sites, await asyncio.gather(*map(_settled, sites)), strict=True):
                    site.after = measure
                    site.read_log()
            sites[0].wrong += around.wrong
        return sites


async def _under_load(sites: list[Site], seconds: float) -> None:
    for site in sites:
        site.load.open.set()
    await asyncio.sleep(seconds)


def complaints(site: Site) -> list[str]:
    """Everything that is not as it must be."""
    assert site.before is not None
    assert site.after is not None
    found = [*site.wrong, *site.load.tally.wrong]
    if site.after.memory > site.before.memory * 1.05:
        found.append(f"memory grew by over 5 %: {site.before.memory:,} to {site.after.memory:,} bytes")
    if site.after.descriptors > site.before.descriptors:
        found.append(f"descriptors grew: {site.before.descriptors} to {site.after.descriptors}")
    if site.after.folders:
        found.append(f"{site.after.folders} folders of predictions are left")
    if site.kills and not site.load.tally.recoveries:
        found.append("nothing went well after a kill")
    return [f"{site.kind.name}: {text}" for text in _alike(found)]


def _alike(found: list[str]) -> list[str]:
    """One of each sort, with how many there are: a defect under load complains a thousand times."""
    sorts: dict[str, list[str]] = {}
    for one in found:
        sorts.setdefault("".join(c for c in one[:60] if not c.isdigit()), []).append(one)
    return [f"{len(alike)} times: {alike[0]}" for alike in sorts.values()]
