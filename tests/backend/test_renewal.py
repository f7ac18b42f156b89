"""Which worker may be replaced while it serves, and which one has to end first, by the memory that is free."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from cog.backend import machine
from cog.backend.local import LocalBackend
from cog.backend.pool import Pool
from cog.backend.protocol import Order, State
from cog.prediction.events import Status
from support.serving import write_model
from support.watching import Sink, Watcher, spec_of

MODEL = """
    import os, time
    from pathlib import Path
    from typing import Any
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            with open("setups", "a") as file:
                file.write(f"{os.getpid()} ")

        def run(self, gate: str = "") -> int:
            end = time.monotonic() + 20
            if gate:
                Path(gate).touch()
            while gate and not Path(gate + ".go").exists() and time.monotonic() < end:
                time.sleep(0.005)
            return os.getpid()
"""


def leave(group: Path, free: int) -> None:
    (group / "memory.max").write_text(f"{2**34}\n")
    (group / "memory.current").write_text(f"{2**34 - free}\n")


async def pid(backend: LocalBackend, folder: Path, gate: str = "") -> int:
    sink = Sink()
    backend.run(Order(b'{"gate":"%s"}' % gate.encode(), str(folder / "out")), sink)
    done = await sink.done()
    assert done.status is Status.SUCCEEDED
    return int(done.payload or b"0")


@pytest.mark.parametrize("free", [5 * 2**20, 2**30])
def test_two_workers_are_replaced_one_after_the_other(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With little memory each ends before the next one starts, and the other one serves meanwhile."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    folder = write_model(tmp_path / "model", MODEL)

    def setups() -> list[int]:
        return [int(word) for word in (folder / "setups").read_text().split()]

    async def story() -> None:
        leave(tmp_path, 2**30)
        backend, watcher = (
            LocalBackend(spec_of(folder, tmp_path / "kit"), Pool(2, max_predictions=1)),
            Watcher(),
        )
        await backend.start(watcher)
        try:
            await watcher.until(lambda: backend.slots == 2)
            leave(tmp_path, free)
            first = asyncio.ensure_future(pid(backend, folder, "gate"))
            await watcher.until(lambda: backend.busy == 1)
            second = await pid(backend, folder)  # which is due at once
            held = set(setups()) - {second}
            await watcher.until(lambda: len(setups()) == 3 and backend.slots == 2)
            assert backend.standing.state is State.READY
            (folder / "gate.go").touch()
            assert {await first} == held  # the other one now
            await watcher.until(lambda: len(setups()) == 4 and backend.slots == 2)
            assert {await pid(backend, folder)} <= set(setups()[2:])
        finally:
            await backend.stop()

    with caplog.at_level("INFO", "cog.backend"):
        asyncio.run(asyncio.wait_for(story(), 60))
    texts = [record.message for record in caplog.records]
    drained = sum("takes no more predictions" in text for text in texts)
    beside = sum("is being replaced, and serves until" in text for text in texts)
    assert (drained >= 2, beside >= 2) == ((True, False) if free < 2**30 else (False, True))
    if drained:
        why = {
            str(record.__dict__["fields"]["memory"])
            for record in caplog.records
            if "takes no more" in record.message
        }
        assert all("MiB, and 5 MiB are free" in reason for reason in why)


def test_the_memory_of_a_group_is_that_of_all_its_processes() -> None:
    hold = "import sys; held = b'x' * (64 * 2**20); print('held', flush=True); sys.stdin.read()"
    lead = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", lead], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        alone, together = machine.memory_of(leader.pid), machine.memory_of_group(leader.pid)
        assert alone is not None
        assert together is not None
        assert alone < 64 * 2**20 < together < alone + 128 * 2**20
