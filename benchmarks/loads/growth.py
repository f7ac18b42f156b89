"""What growth costs: more connections, and more predictions than anybody counts."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.contestant import Server
from benchmarks.load import Effort, Outcome
from benchmarks.loads.wrk import bodies, wrk
from benchmarks.processes import all_mebibytes
from benchmarks.works import Work

CONNECTIONS: Final = (1, 8, 32, 128, 256)
SLICES: Final = 10  # memory is looked at so often in a soak


def growth(server: Server, work: Work, effort: Effort) -> Outcome:
    """The median time of an answer, divided by the connections: what each request takes of the server. The figure is that
    of 256 connections as a multiple of the least there is."""
    found = {}
    wrk(server, bodies(server, work), CONNECTIONS[-1], effort.warm)
    for connections in CONNECTIONS:
        result = wrk(server, bodies(server, work), connections, effort.seconds)
        if result.bad:
            raise ValueError(f"{result.bad} requests were refused with {connections} connections")
        found[connections] = result.p50 / connections
    remark = ", ".join(f"{connections}: {each:.0f} µs" for connections, each in found.items())
    return Outcome(found[CONNECTIONS[-1]] / min(found.values()), remark=remark)


def soak(server: Server, work: Work, effort: Effort) -> Outcome:
    """Memory of all processes at the end, as a multiple of what it was after the first tenth."""
    seconds, served = max(1, effort.soak // SLICES), 0
    memory: list[float] = []
    ends = time.monotonic() + effort.soak
    while time.monotonic() < ends or len(memory) < 2:
        result = wrk(server, bodies(server, work), 32, seconds)
        if result.bad:
            raise ValueError(f"{result.bad} requests were refused")
        served += result.good
        memory.append(all_mebibytes(server.mark))
    remark = f"{served:,} predictions, {memory[0]:.1f} to {memory[-1]:.1f} MiB, at most {max(memory):.1f}"
    return Outcome(memory[-1] / memory[0], remark=remark)
