"""How many run at once, where the server listens, and which model it takes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cog import bundle
from cog.backend import growth, machine
from cog.backend.local import LocalBackend
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.prediction.events import Source
from support.serving import Server, request, serving, write_model
from support.steps import body, fresh, let_go, model

MEBIBYTE = 2**20


def test_threads_serve_as_many_at_once_each_in_a_process(serve: Any) -> None:
    server: Server = serve(model("sync"), "--threads", "3", ready="3 of 3 workers")
    gates = [fresh() for _ in range(3)]
    running = [server.start_async(body("gate($gate)\nreturn os.getpid()", gate=gate)) for gate in gates]
    for gate in gates:
        server.wait_file(gate)
    assert server.health()["status"] == "BUSY"
    assert server.predict().status == 409
    for gate in gates:
        let_go(server, gate)
    pids = {server.wait_for(one)["output"] for one in running}
    assert pids == set(server.workers())
    assert len(pids) == 3


def test_the_server_is_ready_with_the_first_worker(serve: Any) -> None:
    text = """
        import time
        from pathlib import Path
        from cog import BaseRunner

        class Runner(BaseRunner):
            def setup(self):
                deadline = time.monotonic() + 20
                first = not Path("first").exists()
                Path("first").touch()
                while not first and not Path("go").exists() and time.monotonic() < deadline:
                    time.sleep(0.005)

            def run(self) -> int:
                return 1
    """
    server: Server = serve(text, "--threads", "2")
    assert server.predict().json()["output"] == 1
    assert not any("of 2 workers" in message for message in server.messages())
    (server.folder / "go").touch()
    server.wait_log("2 of 2 workers")
    assert len(server.workers()) == 2


def test_without_the_flag_there_is_one_for_each_processor(tmp_path: Path) -> None:
    count = machine.cpus()
    with serving(write_model(tmp_path, model("sync"))) as server:
        server.wait_log(f"{count} of {count} workers")
        assert len(server.workers()) == count
        line = next(
            line["fields"]
            for line in server.lines
            if "of" in line["fields"]["message"] and "why" in line["fields"]
        )
        assert line["why"] == "one for each processor"


def test_without_the_flag_a_gpu_model_has_one(tmp_path: Path) -> None:
    config = 'run: "run.py:Runner"\nbuild:\n  gpu: true\n'
    with serving(write_model(tmp_path, model("sync"), config), env={"COG_LOG_LEVEL": "debug"}) as server:
        server.wait_log("1 of 1 workers")
        assert len(server.workers()) == 1


def test_threads_on_an_async_model_are_a_warning(serve: Any) -> None:
    server: Server = serve(model("async"), "--threads", "4")
    server.wait_log("--threads has no effect on an async model")
    assert len(server.workers()) == 1
    gate = fresh()
    running = server.start_async(body("await async_gate($gate)", gate=gate))
    assert server.predict().status == 409
    let_go(server, gate)
    server.wait_for(running)


# The memory rule


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control group that this process believes to be in."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    return tmp_path


def leave(group: Path, free: int) -> None:
    (group / "memory.max").write_text(f"{2**34}\n")
    (group / "memory.current").write_text(f"{2**34 - free}\n")


@contextmanager
def holding(size: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process with `size` bytes of memory of its own."""
    code = f"import sys; held = b'x' * {size}; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_memory_is_measured(group: Path) -> None:
    with holding(64 * MEBIBYTE) as process:
        measured = machine.memory_of(process.pid)
        assert measured is not None
        assert 64 * MEBIBYTE < measured < 100 * MEBIBYTE
    leave(group, 123 * MEBIBYTE)
    assert machine.free_memory() == 123 * MEBIBYTE


def test_a_worker_may_take_80_percent_of_what_is_free(group: Path) -> None:
    with holding(64 * MEBIBYTE) as process:
        size = machine.memory_of(process.pid)
        assert size is not None
        leave(group, int(size / 0.79))
        assert growth.refusal([process.pid]) is None
        leave(group, int(size / 0.81))
        assert "a worker takes" in (growth.refusal([process.pid]) or "")
        with holding(4 * MEBIBYTE) as small:
            assert growth.refusal([small.pid]) is None
            assert growth.refusal([small.pid, process.pid]) is not None


def test_what_shows_to_be_too_many_is_given_up(group: Path) -> None:
    with holding(64 * MEBIBYTE) as large, holding(4 * MEBIBYTE) as one, holding(4 * MEBIBYTE) as two:
        pids = [large.pid, one.pid, two.pid]
        leave(group, 1024 * MEBIBYTE)
        assert growth.surplus(pids)[0] == 0
        leave(group, 90 * MEBIBYTE)
        assert growth.surplus(pids)[0] == 1
        leave(group, 1 * MEBIBYTE)
        assert growth.surplus(pids)[0] == 2


@pytest.mark.parametrize(
    ("quota", "count"), [("50000 100000", 1), ("150000 100000", 2), ("max 100000", None)]
)
def test_processors_are_limited_by_the_quota(group: Path, quota: str, count: int | None) -> None:
    affinity = len(os.sched_getaffinity(0))
    (group / "cpu.max").write_text(quota + "\n")
    assert machine.cpus() == (affinity if count is None else min(affinity, count))


class Silent:
    """A watcher that does nothing."""

    def changed(self) -> None:
        pass

    def printed(self, text: str, source: Source, worker: int, setup: bool) -> None:
        pass


def test_no_worker_is_started_that_does_not_fit(
    group: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave(group, 5 * MEBIBYTE)
    bundle.build(tmp_path / "kit")
    folder = write_model(tmp_path / "model", model("sync"))
    spec = Spec((sys.executable, str(tmp_path / "kit")), "run.py:Runner", str(folder), dict(os.environ))

    async def said() -> None:
        while not any("of 3 workers" in record.message for record in caplog.records):
            await asyncio.sleep(0.005)

    async def grow() -> int:
        backend = LocalBackend(spec, Pool(wanted=3))
        await backend.start(Silent())
        try:
            await asyncio.wait_for(said(), 20)
            return backend.slots
        finally:
            await backend.stop()

    with caplog.at_level("INFO", "cog.backend"):
        assert asyncio.run(grow()) == 1
    line = next(record for record in caplog.records if "of 3 workers" in record.message)
    assert line.message == "1 of 3 workers"
    assert "5 MiB are free" in line.__dict__["fields"]["why"]


# --host and the model


def answers(url: str) -> bool:
    return request(f"{url}/live").status == 200


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_host(serve: Any, host: str) -> None:
    server: Server = serve(model("sync"), "--host", host, ready=None)
    port = server.url.rpartition(":")[2]
    assert answers(f"http://127.0.0.1:{port}")
    assert answers(f"http://localhost:{port}")
    server.wait_log("READY")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_ipv6_host_takes_ipv4_too(serve: Any) -> None:
    server: Server = serve(model("sync"), "--host", "::", ready=None)
    port = server.url.rpartition(":")[2]
    assert server.url == f"http://[::1]:{port}"
    assert answers(server.url)
    assert answers(f"http://127.0.0.1:{port}")
    server.wait_log("READY")


OTHER = "def answer(x: int = 1) -> str:\n    return 'other'\n"


@pytest.mark.parametrize("config", ['run: "run.py:Runner"\n', "{}\n", None])
def test_the_environment_names_the_model_whatever_cog_yaml_says(
    serve: Any, tmp_path: Path, config: str | None
) -> None:
    folder = write_model(tmp_path / "named", model("sync"), config)
    (folder / "other.py").write_text(OTHER)
    if config is None:
        (folder / "cog.yaml").unlink()
    server: Server = serve(folder, env={"COG_PREDICT_TYPE_STUB": "other.py:answer"})
    assert server.predict().json()["output"] == "other"
