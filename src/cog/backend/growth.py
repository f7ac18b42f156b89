"""How many workers a model gets. Each holds its own copy of the model, so never more than fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cog.backend import machine
from cog.backend.pool import Pool

# From the contract: a further worker may take at most this share of the memory that is free.
SHARE: Final = 0.8


def wanted(pool: Pool, first_pid: int, *, is_async: bool) -> tuple[int, str]:
    """How many workers there should be, and why, given the process of the first one."""
    if pool.wanted is not None and not is_async:
        return pool.wanted, "--threads"
    if pool.workers is not None:
        return pool.workers, "--workers"
    if pool.gpus:
        return pool.gpus, "one for each GPU"
    if is_async:
        return 1, "predictions of an async model share a worker; --workers overrules this"
    if machine.uses_gpu(first_pid):
        return 1, "the model has opened a GPU; --threads overrules this"
    return machine.cpus(), "one for each processor"


def refusal(pids: Sequence[int], at_most: int | None = None) -> str | None:
    """Why one more worker does not fit; None when it does, or when nothing can be measured. It will take as much as the
    largest of `pids`, and no more than `at_most` bytes."""
    sizes = [size for size in (machine.memory_of(pid) for pid in pids) if size is not None]
    free = machine.free_memory()
    if not sizes or free is None:
        return None
    size = max(sizes) if at_most is None else min(max(sizes), at_most)
    if size <= SHARE * free:
        return None
    return f"a worker takes {size / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free"


def surplus(pids: Sequence[int]) -> tuple[int, str]:
    """How many workers are too many, now that one of them shows what each will take, and why."""
    sizes = [size for size in (machine.memory_of(pid) for pid in pids) if size is not None]
    free = machine.free_memory()
    if len(sizes) < 2 or free is None:
        return 0, ""
    count, each = len(sizes), max(sizes)
    while count > 1 and each * count - sum(sizes) > SHARE * free:
        count -= 1
    return (
        len(sizes) - count,
        f"a worker takes {each / 2**20:,.0f} MiB after a prediction, and {free / 2**20:,.0f} MiB are free",
    )
