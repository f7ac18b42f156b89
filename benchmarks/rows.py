"""The rows of the table: who does what work under which load, and what this server has to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks import works
from benchmarks.load import Load
from benchmarks.loads import files, growth, starts, streams
from benchmarks.loads.webhooks import Webhooks
from benchmarks.loads.wrk import Latency, Throughput
from benchmarks.works import Work


@dataclass(frozen=True)
class Unit:
    """What a figure is in, how many digits it is shown with, whether more of it is better."""

    name: str
    digits: int
    more: bool

    def text(self, figure: float) -> str:
        return f"{figure:,.{self.digits}f} {self.name}"


@dataclass(frozen=True)
class Goal:
    """This server's figure as a multiple of a contestant's, or, `against` none, as it is: at least or at most that."""

    against: str
    least: float | None = None
    most: float | None = None

    def met(self, ratio: float) -> bool:
        return (self.least is None or ratio >= self.least) and (self.most is None or ratio <= self.most)

    def text(self) -> str:
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"


@dataclass(frozen=True)
class Row:
    """`key` is its name for the command line; `rounds` is for one that needs fewer of them."""

    key: str
    title: str
    work: Work
    contestants: tuple[str, ...]
    load: Load
    unit: Unit
    goals: tuple[Goal, ...] = ()
    rounds: int | None = None


RATE: Final = Unit("/s", 0, more=True)
SLOW_RATE: Final = Unit("/s", 1, more=True)
MILLISECONDS: Final = Unit("ms", 2, more=False)
SECONDS: Final = Unit("s", 2, more=False)
MEBIBYTES: Final = Unit("MiB", 1, more=False)
TIMES: Final = Unit("x", 2, more=False)
TIMES_MORE: Final = Unit("x", 2, more=True)

PEERS: Final = ("ours", "reference", "mosec", "litserve", "bentoml", "ray", "echo")
COGS: Final = ("ours", "reference")
NOOP, STREAM = works.NOOP, works.STREAM

ROWS: Final = (
    # First, before anything is left of other loads: one of them refuses requests for a while after those.
    Row(
        "latency",
        "no-op, async model, one connection: p50",
        NOOP,
        PEERS,
        Latency(),
        MILLISECONDS,
        (Goal("reference", most=0.4), Goal("mosec", most=1.1)),
    ),
    Row(
        "async",
        "no-op, async model, 32 slots, 32 connections: answers",
        NOOP,
        PEERS,
        Throughput(32),
        RATE,
        (Goal("reference", least=8), Goal("mosec", least=2), Goal("echo", least=0.45)),
    ),
    Row(
        "webhooks",
        "no-op, respond-async, a first and a last webhook each, all delivered",
        NOOP,
        COGS,
        Webhooks(),
        RATE,
        (Goal("reference", least=3),),
    ),
    Row(
        "sync",
        "no-op, sync model, queue of 64, 32 connections: answers",
        works.NOOP_SYNC,
        ("ours", "mosec", "echo"),
        Throughput(32),
        RATE,
        (Goal("mosec", least=2),),
    ),
    Row(
        "stream",
        "server-sent events, 10,000 of a sync generator",
        STREAM,
        COGS,
        streams.rate,
        RATE,
        (Goal("reference", least=5),),
    ),
    Row(
        "first",
        "server-sent events: from the request to the first chunk",
        STREAM,
        COGS,
        streams.first,
        MILLISECONDS,
    ),
    Row(
        "delay",
        "server-sent events: from `yield` to the client, p50",
        STREAM,
        COGS,
        streams.delay,
        MILLISECONDS,
    ),
    Row(
        "streams",
        "32 streams of an async generator: events of all beside one stream",
        works.STREAM_ASYNC,
        COGS,
        streams.flat,
        TIMES_MORE,
        (Goal("", least=0.9),),
    ),
    Row(
        "file-memory",
        "32 MiB data URL in and out: peak memory over idle / file",
        works.FILE,
        COGS,
        files.peak,
        TIMES,
        (Goal("", most=4),),
    ),
    Row(
        "file",
        "32 MiB data URL in and out: time",
        works.FILE,
        COGS,
        files.seconds,
        SECONDS,
        (Goal("reference", most=0.35),),
    ),
    Row(
        "start",
        "from start to READY, no-op model",
        works.IDLE,
        COGS,
        starts.start,
        SECONDS,
        (Goal("reference", most=1.2),),
    ),
    Row(
        "memory",
        "resident memory, idle, server and worker",
        works.IDLE,
        COGS,
        starts.memory,
        MEBIBYTES,
        (Goal("reference", most=1.5),),
    ),
    Row(
        "embed",
        "examples/embed, 32 connections, batches of 16: answers",
        works.EMBED,
        ("ours", "unbatched", "mosec", "litserve"),
        Throughput(32, factor=2),
        SLOW_RATE,
        (Goal("unbatched", least=2.3), Goal("mosec", least=1.0), Goal("litserve", least=1.0)),
        rounds=3,
    ),
    Row(
        "growth",
        "p50 / connections: 256 beside the best of 1 to 256",
        works.NOOP_WIDE,
        ("ours",),
        growth.growth,
        TIMES,
        (Goal("", most=1.25),),
        rounds=3,
    ),
    Row(
        "soak",
        "memory after a soak beside that after its first tenth",
        works.NOOP_WIDE,
        ("ours",),
        growth.soak,
        TIMES,
        (Goal("", most=1.05),),
        rounds=1,
    ),
)
