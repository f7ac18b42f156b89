"""A full batch is with its worker before the one before it has ended, and nobody notices but by the speed."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from support.models import WAITING
from support.serving import Server, until

MODEL = (
    "from cog import BaseRunner, Path, batch\n"
    + WAITING
    + """

class Runner(BaseRunner):
    @batch(max_size=2, max_wait=0)
    def run(self, name: list[str], file: list[Path] = None) -> list[str]:
        for one in name:
            if one.startswith(("hold", "crash")):
                mark(one)
                hold(f"{one}.go")
            if one.startswith("crash"):
                os.write(2, b"the last words\\n")
                os.abort()
        read = ["" if path is None else f" with {path.read_text()}" for path in file]
        return [f"{one} of {len(name)}{text}" for one, text in zip(name, read)]
"""
)


def begin(server: Server, name: str, **more: str) -> str:
    answer = server.predict({"name": name, **more}, fields={"id": name}, headers={"prefer": "respond-async"})
    assert answer.status == 202, answer
    return name


def shown(server: Server, name: str) -> Any:
    return server.get(f"/predictions/{name}").json()


def holding(server: Server, *names: str) -> None:
    """One that waits, of a worker that is trusted with a batch ahead; and these."""
    for index in range(80):
        assert server.predict({"name": str(index)}).json()["output"] == f"{index} of 1"
    begin(server, "hold")
    server.wait_file("hold")
    for name in names:
        begin(server, name)


def let_go(server: Server, name: str = "hold") -> None:
    (server.folder / f"{name}.go").touch()


@pytest.fixture
def server(serve: Any) -> Server:
    started: Server = serve(MODEL, "--max-queue", "8")
    return started


def test_a_full_one_waits_with_the_worker_and_another_in_the_queue(server: Server) -> None:
    holding(server, "a")
    assert shown(server, "a")["metrics"]["queue_position"] == 1  # there may be company for it yet
    for name in ("b", "c"):
        begin(server, name)
    for name in ("a", "b"):
        prediction = shown(server, name)
        assert (prediction["status"], prediction["started_at"]) == ("starting", None)
        assert "queue_position" not in prediction["metrics"]
    assert shown(server, "c")["metrics"]["queue_position"] == 1
    let_go(server)
    first, *ends = (server.wait_for(name) for name in ("hold", "a", "b", "c"))
    assert first["output"] == "hold of 1"
    assert [end["output"] for end in ends] == ["a of 2", "b of 2", "c of 1"]
    assert [end["metrics"]["batch_size"] for end in ends] == [2, 2, 1]
    assert all(end["metrics"]["queue_time"] > 0 for end in ends)
    assert all(end["started_at"] >= first["completed_at"] for end in ends)


def test_who_leaves_it_disturbs_nobody(server: Server) -> None:
    holding(server, "a", "b")
    assert server.call("POST", "/predictions/a/cancel").status == 200
    assert server.wait_for("a")["status"] == "canceled"
    let_go(server)
    assert server.wait_for("b")["output"] == "b of 2"
    assert server.predict({"name": "after"}).json()["output"] == "after of 1"


def test_who_leaves_it_leaves_their_files_until_nobody_needs_them(server: Server) -> None:
    holding(server)
    begin(server, "a", file="data:text/plain,a")
    until(lambda: shown(server, "a")["metrics"], lambda metrics: metrics.get("queue_position") == 1)
    begin(server, "b", file="data:text/plain,b")
    until(lambda: shown(server, "a")["metrics"], lambda metrics: "queue_position" not in metrics)
    assert server.call("POST", "/predictions/a/cancel").status == 200
    assert server.wait_for("a")["status"] == "canceled"
    let_go(server)
    assert server.wait_for("b")["output"] == "b of 2 with b"


def test_the_last_words_of_a_worker_are_those_of_the_batch_that_ran(server: Server) -> None:
    holding(server)
    let_go(server)
    server.wait_for("hold")
    begin(server, "hold2")
    server.wait_file("hold2")
    for name in ("crash", "b", "c", "d"):
        begin(server, name)
    let_go(server, "hold2")
    server.wait_file("crash")
    until(lambda: shown(server, "d")["metrics"], lambda metrics: "queue_position" not in metrics)
    let_go(server, "crash")
    ended = server.wait_for("crash")
    assert "SIGABRT" in ended["error"]
    assert "the last words" in ended["logs"]
    assert [server.wait_for(name)["output"] for name in ("c", "d")] == ["c of 2", "d of 2"]


def test_when_all_have_left_the_next_ones_run(server: Server) -> None:
    holding(server, "a", "hold-b")
    for name in ("a", "hold-b"):
        assert server.call("POST", f"/predictions/{name}/cancel").status == 200
        assert server.wait_for(name)["status"] == "canceled"
    begin(server, "c")
    let_go(server)
    assert server.wait_for("hold")["output"] == "hold of 1"
    assert server.wait_for("c")["output"] == "c of 1"
    assert not (server.folder / "hold-b").exists()


def test_it_runs_on_the_next_worker_when_the_first_one_dies(server: Server) -> None:
    holding(server, "a", "b")
    os.kill(server.workers()[0], signal.SIGKILL)
    assert "SIGKILL" in server.wait_for("hold")["error"]
    assert [server.wait_for(name)["output"] for name in ("a", "b")] == ["a of 2", "b of 2"]


def test_a_wait_that_is_too_long_ends_there_too(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "8", "--queue-timeout", "0.5")
    holding(server, "a", "b")
    for name in ("a", "b"):
        assert server.wait_for(name)["error"].startswith("QueueTimeout: the prediction waited 0.5 seconds")
    let_go(server)
    assert server.wait_for("hold")["output"] == "hold of 1"
    assert server.predict({"name": "after"}).json()["output"] == "after of 1"
