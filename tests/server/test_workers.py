"""Several processes of one model: how many, who gets the next run, and which GPU is whose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.serving import CLEARED, Server, until, write_model
from support.steps import body, fresh, let_go, model

GPU = 'run: "run.py:Runner"\nbuild:\n  gpu: true\n'
SEEN = body("return os.environ.get('CUDA_VISIBLE_DEVICES')")
GATED = "(FOLDER / ($gate + '.pid')).write_text(str(os.getpid())); {} ($gate)"


def hold(server: Server, count: int, call: str) -> dict[str, tuple[str, int]]:
    """So many predictions that wait, by the names of their gates: their ids and the workers that they are on."""
    held = {}
    for _ in range(count):
        gate = fresh()
        running = server.start_async(body(GATED.format(call), gate=gate))
        server.wait_file(gate)
        held[gate] = running, int((server.folder / f"{gate}.pid").read_text())
    return held


def release(server: Server, held: dict[str, tuple[str, int]]) -> None:
    for gate, (running, _) in held.items():
        let_go(server, gate)
        assert server.wait_for(running)["status"] == "succeeded"


def test_an_async_model_has_as_many_processes_each_with_its_slots(serve: Any) -> None:
    server: Server = serve(
        model("async"), "--workers", "2", env={"COG_MAX_CONCURRENCY": "3"}, ready="2 of 2 workers"
    )
    assert len(server.workers()) == 2
    held = hold(server, 6, "await async_gate")
    assert server.health()["status"] == "BUSY"
    assert server.predict().status == 409
    pids = [pid for _, pid in held.values()]
    first, second = pids[:2]
    assert pids == [first, second] * 3  # always the one with less to do
    release(server, held)


def test_the_least_loaded_worker_is_next_and_among_equals_the_first(serve: Any) -> None:
    server: Server = serve(
        model("async"), "--workers", "3", env={"COG_MAX_CONCURRENCY": "2"}, ready="3 of 3 workers"
    )
    pid = body("return os.getpid()")
    alone = {server.predict(pid).json()["output"] for _ in range(5)}
    assert len(alone) == 1
    held = hold(server, 3, "await async_gate")
    gates = list(held)
    assert {held[gates[0]][1]} == alone
    assert len({worker for _, worker in held.values()}) == 3
    freed = {gates[1]: held.pop(gates[1])}
    release(server, freed)
    assert server.predict(pid).json()["output"] == freed[gates[1]][1]
    release(server, held)


def test_for_a_plain_run_workers_are_threads(serve: Any) -> None:
    server: Server = serve(model("sync"), env={"COG_WORKERS": "9"}, ready="READY")  # with --threads 1
    server.wait_log("--workers 9 has no effect: for a plain `def run` it is the same as --threads")
    assert len(server.workers()) == 1
    server = serve(model("sync"), "--workers", "2", ready="2 of 2 workers")
    held = hold(server, 2, "gate")
    assert {pid for _, pid in held.values()} == set(server.workers())
    assert server.predict().status == 409
    release(server, held)


# GPUs


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_each_worker_gets_a_gpu_and_without_a_number_there_is_one_for_each(serve: Any, kind: str) -> None:
    server: Server = serve(
        model(kind), "--gpus", "0,1", env={"CUDA_VISIBLE_DEVICES": "3,GPU-5"}, ready=None, alone=True
    )
    server.wait_log("2 of 2 workers")
    server.wait_log("one for each GPU")
    held = hold(server, 2, {"sync": "gate", "async": "await async_gate"}[kind])
    assert sorted(map(visible, server.workers())) == ["3", "GPU-5"]
    release(server, held)


def visible(pid: int) -> str:
    """The GPUs that a worker was started with."""
    for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if word.startswith(b"CUDA_VISIBLE_DEVICES="):
            return word.partition(b"=")[2].decode()
    return "unset"


def test_a_worker_keeps_its_gpu_through_deaths_and_more_workers_share(serve: Any) -> None:
    server: Server = serve(
        model("async"), "--workers", "3", "--gpus", "0,1", env={"CUDA_VISIBLE_DEVICES": "6,7"}, ready="3 of 3 workers"
    )  # fmt: skip
    assert sorted(visible(pid) for pid in server.workers()) == ["6", "6", "7"]
    assert server.predict(SEEN).json()["output"] == "6"
    (before,) = {pid for pid in server.workers() if visible(pid) == "7"}
    held = hold(server, 1, "await async_gate")
    assert server.predict(body("os._exit(3)")).json()["status"] == "failed"  # on the second
    until(
        lambda: server.predict(SEEN).json()["output"], lambda gpu: gpu == "7"
    )  # its successor is the next again
    again = hold(server, 2, "await async_gate")
    assert sorted(visible(pid) for _, pid in (held | again).values()) == ["6", "6", "7"]
    assert before not in server.workers()
    release(server, held | again)


def test_several_workers_of_a_model_for_gpus_get_them_divided_and_one_sees_all(serve: Any) -> None:
    outer = {"CUDA_VISIBLE_DEVICES": "0,1"}
    for flag in ("--workers", "--threads"):
        server: Server = serve(
            model("sync"), flag, "2", config=GPU, env=outer, alone=True, ready="2 of 2 workers"
        )
        assert sorted(visible(pid) for pid in server.workers()) == ["0", "1"]
        server.wait_log("each worker gets one GPU; --gpus none lets every worker see all")
    for flags in ((), ("--workers", "1"), ("--gpus", "none"), ("--reload",)):
        server = serve(model("sync"), *flags, config=GPU, env=outer, alone=True)
        assert server.predict(SEEN).json()["output"] == "0,1"
        assert len(server.workers()) == 1
    server = serve(model("sync"), "--workers", "2", env=outer, ready="2 of 2 workers")  # no model for GPUs
    assert server.predict(SEEN).json()["output"] == "0,1"


def test_a_gpu_that_is_not_there_ends_the_server(tmp_path: Path) -> None:
    folder = write_model(tmp_path, model("sync"))
    environ = {name: value for name, value in os.environ.items() if name not in CLEARED}
    ended = subprocess.run(
        [sys.executable, "-m", "cog.server.http", "--gpus", "0,4"],
        cwd=folder,
        env={**environ, "PORT": "0", "CUDA_VISIBLE_DEVICES": "0,1"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "cog: --gpus 4: there is no such GPU. Those that this server sees are 0 to 1 (of CUDA_VISIBLE_DEVICES=0,1).\n"
    )
