"""Orders for short runs are sent before their turn; nobody notices but by the speed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.models import WAITING
from support.serving import Server

MODEL = (
    "import sys\nfrom cog import BaseRunner\n"
    + WAITING
    + """

class Runner(BaseRunner):
    def run(self, name: str, gate: str = "", below: bool = False, say: bool = False) -> str:
        if below:
            os.write(1, f"below {name}\\n".encode())
        if say:
            print("said", name)
        if gate:
            mark(name)
            hold(gate)
        return name
"""
)
Begin = Callable[..., str]


def warm(server: Server, count: int = 100) -> None:
    """So many short and quiet runs that the worker is trusted with more than one order."""
    for index in range(count):
        assert server.predict({"name": str(index)}).json()["output"] == str(index)


def begin(server: Server, name: str, **more: Any) -> str:
    answer = server.predict({"name": name, **more}, fields={"id": name}, headers={"prefer": "respond-async"})
    assert answer.status == 202, answer
    return name


def shown(server: Server, name: str) -> Any:
    return server.get(f"/predictions/{name}").json()


def holding(server: Server, count: int = 4) -> list[str]:
    """One that waits at its gate, and so many that the worker has already: they are in no queue any more."""
    warm(server)
    begin(server, "first", gate="go")
    server.wait_file("first")
    names = [begin(server, f"ahead{index}") for index in range(count)]
    for name in names:
        prediction = shown(server, name)
        assert (prediction["status"], prediction["started_at"]) == ("starting", None)
        assert "queue_position" not in prediction["metrics"]
    return names


@pytest.fixture
def server(serve: Any) -> Server:
    started: Server = serve(MODEL, "--max-queue", "64")
    return started


def test_they_begin_in_their_order_when_the_one_before_has_ended(server: Server) -> None:
    names = holding(server)
    (server.folder / "go").touch()
    ends = [server.wait_for(name) for name in ("first", *names)]
    assert [end["output"] for end in ends] == ["first", *names]
    started = [end["started_at"] for end in ends]
    assert started == sorted(started)
    assert all(end["started_at"] >= ends[0]["completed_at"] for end in ends[1:])
    assert all(end["metrics"]["queue_time"] > 0 for end in ends[1:])


def test_a_cancel_ends_one_at_once_and_disturbs_nobody(server: Server) -> None:
    names = holding(server)
    assert server.call("POST", f"/predictions/{names[1]}/cancel").status == 200
    ended = shown(server, names[1])
    assert (ended["status"], ended["started_at"]) == ("canceled", None)
    assert shown(server, "first")["status"] == "processing"
    late = begin(
        server, "late"
    )  # while a cancel is not answered the worker gets nothing more: this one waits here
    assert shown(server, late)["metrics"]["queue_position"] == 1
    (server.folder / "go").touch()
    ends = [server.wait_for(name) for name in ("first", *names, late)]
    assert [end["status"] for end in ends] == ["succeeded", "succeeded", "canceled", *["succeeded"] * 3]
    warm(server)


def test_the_death_of_the_worker_is_that_of_the_one_that_it_ran(server: Server) -> None:
    names = holding(server)
    server.call("POST", f"/predictions/{names[3]}/cancel")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    assert server.wait_for("first")["error"].startswith("WorkerDied")
    ends = [server.wait_for(name) for name in names]
    assert [end["output"] for end in ends] == [*names[:3], None]
    assert [end["status"] for end in ends] == [*["succeeded"] * 3, "canceled"]


def test_a_deaf_run_is_killed_and_those_behind_it_go_on(serve: Any) -> None:
    source = MODEL.replace(
        "hold(gate)",
        "\n            while True:\n                try: hold(gate)\n                except BaseException: pass",
    )
    server: Server = serve(source, "--max-queue", "64", "--cancel-grace", "0.5")
    names = holding(server)
    server.call("POST", "/predictions/first/cancel")
    assert server.wait_for("first")["status"] == "canceled"
    assert [server.wait_for(name)["output"] for name in names] == names


def test_the_time_of_one_counts_from_its_beginning(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "64", "--predict-timeout", "1")
    names = holding(server)
    assert server.wait_for("first")["error"].startswith("TimeoutError")
    assert [server.wait_for(name)["output"] for name in names] == names


def test_what_is_written_below_python_is_nobody_elses(server: Server) -> None:
    """Text of a descriptor has no name on it: rather nobody has it than somebody else."""
    warm(server)

    def ask(index: int) -> tuple[str, str]:
        name = f"n{index}"
        input = {"name": name, "below": index % 37 == 0, "say": index % 5 == 0}
        answer = server.predict(input).json()
        assert answer["output"] == name
        return name, answer["logs"]

    with ThreadPoolExecutor(16) as pool:
        logs = dict(pool.map(ask, range(1500)))
    for index, (name, text) in enumerate(logs.items()):
        lines = text.splitlines()
        assert lines.count(f"said {name}") == (1 if index % 5 == 0 else 0)
        assert set(lines) <= {f"said {name}", f"below {name}"}, (name, text)
    server.wait_log("below n1480")  # the server's log has it in any case


def test_without_a_queue_nothing_is_sent_ahead(serve: Any) -> None:
    server: Server = serve(MODEL)
    warm(server)
    begin(server, "first", gate="go")
    server.wait_file("first")
    assert server.predict({"name": "x"}).status == 409
    (server.folder / "go").touch()
    assert server.wait_for("first")["status"] == "succeeded"


def test_of_two_workers_neither_is_sent_more_than_it_can_begin(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "64", "--threads", "2", ready="2 of 2 workers")
    warm(server, 300)
    begin(server, "first", gate="go")
    server.wait_file("first")
    for index in range(30):  # the other one takes them all
        assert server.predict({"name": str(index)}).json()["output"] == str(index)
    (server.folder / "go").touch()
    assert server.wait_for("first")["status"] == "succeeded"


def test_a_wait_that_is_too_long_ends_there_too(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "64", "--queue-timeout", "0.5")
    names = holding(server, 2)
    for name in names:
        ended = server.wait_for(name)
        assert (ended["status"], ended["started_at"]) == ("failed", None)
        assert ended["error"].startswith("QueueTimeout: the prediction waited 0.5 seconds for a slot")
    assert shown(server, "first")["status"] == "processing"
    (server.folder / "go").touch()
    assert server.wait_for("first")["output"] == "first"
    assert server.predict({"name": "after"}).json()["output"] == "after"


def test_who_has_begun_in_time_may_take_longer(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "64", "--queue-timeout", "5")
    warm(server)
    begin(server, "first", gate="go")
    server.wait_file("first")
    begin(server, "second", gate="later")
    (server.folder / "go").touch()
    server.wait_file("second")
    asked = server.predict({"name": "third"}, fields={"id": "third"}, headers={"prefer": "respond-async"})
    assert asked.status == 202
    ended = server.wait_for("third")
    assert ended["error"].startswith("QueueTimeout: the prediction waited 5 seconds for a slot")
    assert shown(server, "second")["status"] == "processing"
    (server.folder / "later").touch()
    assert server.wait_for("second")["output"] == "second"
