"""Nothing is left: after each way in which a prediction, a worker or a server can end."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.receiving import Gate, Incoming, Receiver, Reply, receiving
from support.serving import Server, serving, until, write_model

MODEL = """
    import os, signal, time
    from typing import Any, Optional
    from cog import BaseRunner, Path

    class Runner(BaseRunner):
        def run(self, one: Optional[Path] = None, then: str = "", name: str = "out.txt") -> Any:
            folder = None if one is None else one.parent.parent.parent
            if then == "litter":
                (folder / "litter").mkdir()
                (folder / "litter" / "x").write_text("x")
                one.write_text("changed")
                (one.parent / "beside").symlink_to("/etc")
            if then == "lock":
                inner = folder / "locked" / "inner"
                inner.mkdir(parents=True)
                (inner / "x").write_text("x")
                inner.chmod(0o500)
                inner.parent.chmod(0o000)
            if then == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if then == "wait":
                open("waiting", "w").close()
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    time.sleep(0.01)
            if then == "halfway":
                return [made("first.txt"), object()]
            return made(name)

    def made(name):
        path = Path(name)
        path.write_text("made")
        return path
"""


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="module")
def receiver(gate: Gate) -> Iterator[Receiver]:
    """Takes uploads and gives downloads; those with "held" in their path wait for the gate."""

    def answer(incoming: Incoming) -> Reply:
        if "held" in incoming.path:
            gate.wait()
        return Reply(404 if "gone" in incoming.path else 200, b"there")

    with receiving(answer) as made:
        yield made
        gate.open()


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server], temporary: Path, receiver: Receiver) -> Server:
    return serve_once(MODEL, "--upload-url", receiver.url, env={"TMPDIR": str(temporary)})


def nothing_left(temporary: Path) -> None:
    (own,) = os.listdir(temporary)
    until(lambda: os.listdir(temporary / own), lambda names: names == ["sdk"])


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, "succeeded"),
        ({"one": "data:,x"}, "succeeded"),
        ({"one": "data:,x", "then": "litter"}, "succeeded"),
        ({"one": "data:,x", "then": "lock"}, "succeeded"),
        ({"then": "halfway"}, "failed"),
        ({"name": "gone.txt"}, "failed"),
        ({"one": "data:,x", "name": "gone.txt"}, "failed"),
        ({"one": "data:,x", "then": "die"}, "failed"),
    ],
)
def test_after_each_end(server: Server, temporary: Path, given: dict[str, str], status: str) -> None:
    prediction = server.predict(given).json()
    assert prediction["status"] == status, prediction
    nothing_left(temporary)
    server.wait_health("READY")


def test_after_a_failure_of_one_file_of_many(server: Server, temporary: Path, receiver: Receiver) -> None:
    before = len(receiver.got)
    started = server.start_async({"one": f"{receiver.url}/gone.txt"})
    assert "404" in server.wait_for(started)["error"]
    assert len(receiver.got) == before + 1
    nothing_left(temporary)


def test_after_a_cancel_in_each_phase(server: Server, temporary: Path, receiver: Receiver) -> None:
    held = f"{receiver.url}/held.txt"
    phases: list[tuple[dict[str, str], Callable[[], object]]] = [
        ({"one": held}, lambda: receiver.wait_until(lambda got: got[-1].target == "/held.txt")),
        ({"one": "data:,x", "then": "wait"}, lambda: server.wait_file("waiting")),
        (
            {"one": "data:,x", "name": "held-2.txt"},
            lambda: receiver.wait_until(lambda got: "held-2" in got[-1].target),
        ),
    ]
    for given, reached in phases:
        server.predict({})
        started = server.start_async(given)
        reached()
        server.call("POST", f"/predictions/{started}/cancel")
        assert server.wait_for(started, timeout=5)["status"] == "canceled"
        nothing_left(temporary)


@pytest.mark.slow
def test_a_killed_servers_folder_goes_with_the_next_start_and_no_others_does(tmp_path: Path) -> None:
    """J6: two servers share a folder for temporary files, but nothing in it."""
    temporary = tmp_path / "tmp"
    foreign = temporary / "cog-run-foreign"
    foreign.mkdir(parents=True)
    os.chown(foreign, 12345, -1) if os.geteuid() == 0 else None
    held = os.open(foreign, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    (temporary / "cog-run-file").touch()
    (temporary / "cog-run-link").symlink_to(tmp_path / "model")
    (temporary / "something-else").mkdir()
    others = {"cog-run-foreign", "cog-run-file", "cog-run-link", "something-else"}
    environment = {"TMPDIR": str(temporary)}
    model = write_model(tmp_path / "model", MODEL)

    def own() -> set[str]:
        return set(os.listdir(temporary)) - others

    with serving(model, "--threads", "1", env=environment) as living:
        kept = own()
        with serving(model, "--threads", "1", env=environment) as killed:
            (left,) = own() - kept
            killed.start_async({"one": "data:,x", "then": "wait"})
            killed.wait_file("waiting")
            assert set(os.listdir(temporary / left)) == {"sdk", "1"}
            workers = killed.workers()
            killed.process.send_signal(signal.SIGKILL)
            killed.process.wait()
            until(lambda: [pid for pid in workers if Path(f"/proc/{pid}").exists()], lambda pids: pids == [])
        assert left in own()
        with serving(model, "--threads", "1", env=environment) as third:
            third.wait_log("removing")
            assert left not in own()
            assert kept < own()
            assert living.predict({"one": "data:,x"}).json()["status"] == "succeeded"
            assert third.predict({"one": "data:,x"}).json()["status"] == "succeeded"
    assert set(os.listdir(temporary)) == others
    assert (model / "run.py").exists()
    os.close(held)
