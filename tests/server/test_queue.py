"""--max-queue: predictions that wait for a slot, in the order in which they came."""

from __future__ import annotations

import http.client
import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.models import ASYNC, SYNC, WAITING
from support.serving import Server, until

MODEL = (
    "from cog import BaseRunner, Path, Input, streaming\\nfrom typing import Iterator\\n"
    + WAITING
    + """

class Runner(BaseRunner):
    @streaming
    def run(self, name: str, file: Path = None, chunks: int = 1) -> Iterator[str]:
        mark(name + ".began")
        hold(name)
        for index in range(chunks):
            yield f"{name} {index}"
"""
).replace("\\n", "\n")

_names = itertools.count()


def fresh() -> str:
    return f"q{next(_names)}"


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(MODEL, "--max-queue", "3")
    return started


def begin(server: Server, **more: Any) -> str:
    """One that runs, or waits, until its file is made; its id is that file's name."""
    name = fresh()
    answer = server.predict({"name": name, **more}, fields={"id": name}, headers={"prefer": "respond-async"})
    assert answer.status == 202, answer
    return name


def free(server: Server, *names: str) -> None:
    for name in names:
        (server.folder / name).touch()


def began(server: Server) -> set[str]:
    return {path.stem for path in server.folder.glob("*.began")}


def shown(server: Server, name: str) -> Any:
    return server.get(f"/predictions/{name}").json()


def test_they_run_in_the_order_of_their_arrival(server: Server) -> None:
    names = [begin(server) for _ in range(4)]
    server.wait_file(f"{names[0]}.began")
    assert [shown(server, name)["status"] for name in names] == ["processing"] + ["starting"] * 3
    assert [shown(server, name)["metrics"].get("queue_position") for name in names] == [None, 1, 2, 3]
    listed = {one["id"]: one["metrics"] for one in server.get("/predictions").json()["results"]}
    assert listed[names[2]] == {"queue_position": 2}
    assert server.health()["status"] == "BUSY"
    for index, name in enumerate(names):
        server.wait_file(f"{name}.began")
        assert began(server).isdisjoint(names[index + 1 :])
        free(server, name)
        ended = server.wait_for(name)
        assert (ended["status"], ended["output"]) == ("succeeded", [f"{name} 0"])
        assert "queue_position" not in ended["metrics"]
        assert "queue_time" in ended["metrics"] or index == 0
    assert server.wait_health("READY")


def test_a_full_queue_is_409(server: Server) -> None:
    names = [begin(server) for _ in range(4)]
    answer = server.predict({"name": "never"})
    assert answer.status == 409
    assert "queue is full: 3 predictions wait" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) >= 1
    free(server, *names)
    for name in names:
        assert server.wait_for(name)["status"] == "succeeded"
    assert not (server.folder / "never.began").exists()


def test_retry_after_is_what_the_model_takes(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-queue", "1")
    assert server.predict({"code": "time.sleep(1.2)"}).json()["status"] == "succeeded"
    running = server.start_async({"code": "hold('go')"})
    waiting = server.start_async({"code": ""})
    answer = server.predict({"code": ""})
    assert (answer.status, answer.headers["retry-after"]) == (409, "2")
    (server.folder / "go").touch()
    for name in (running, waiting):
        assert server.wait_for(name)["status"] == "succeeded"


def test_a_cancel_leaves_the_queue_at_once(server: Server) -> None:
    first, second, third = (begin(server) for _ in range(3))
    assert server.call("POST", f"/predictions/{second}/cancel").status == 200
    ended = server.wait_for(second)
    assert (ended["status"], ended["started_at"]) == ("canceled", None)
    assert shown(server, third)["metrics"]["queue_position"] == 1
    free(server, first, third)
    assert server.wait_for(third)["status"] == "succeeded"
    assert second not in began(server)


def test_a_client_that_goes_away_leaves_the_queue_at_once(server: Server) -> None:
    first = begin(server)
    name = fresh()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request(
        "PUT",
        f"/predictions/{name}",
        f'{{"input":{{"name":"{name}"}}}}',
        {"content-type": "application/json"},
    )
    until(lambda: shown(server, name).get("status"), lambda status: status == "starting")
    after = begin(server)
    assert shown(server, after)["metrics"]["queue_position"] == 2
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    assert server.wait_for(name)["status"] == "canceled"
    assert shown(server, after)["metrics"]["queue_position"] == 1
    free(server, first, after)
    assert server.wait_for(after)["status"] == "succeeded"
    assert name not in began(server)


def test_synchronous_requests_wait_for_their_answer(server: Server) -> None:
    names = [fresh() for _ in range(4)]
    free(server, *names)
    barrier = threading.Barrier(4)

    def ask(name: str) -> Any:
        barrier.wait(20)
        return server.predict({"name": name})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, names))
    assert [answer.status for answer in answers] == [200] * 4
    assert [answer.json()["output"] for answer in answers] == [[f"{name} 0"] for name in names]


def test_event_streams_wait_too(server: Server) -> None:
    first, name = begin(server), fresh()
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request(
        "PUT", f"/predictions/{name}", f'{{"input":{{"name":"{name}","chunks":2}}}}',
        {"content-type": "application/json", "accept": "text/event-stream"},
    )  # fmt: skip
    answer = connection.getresponse()
    assert answer.status == 200
    assert shown(server, name)["metrics"]["queue_position"] == 1
    free(server, name, first)
    text = answer.read().decode()
    connection.close()
    assert text.count("event: output") == 2
    assert '"status":"succeeded"' in text


def test_files_are_fetched_while_it_waits(server: Server) -> None:
    """It has its position once they are there."""
    first = begin(server)
    second = begin(server, file="data:text/plain;base64,aGk=")
    until(lambda: shown(server, second)["metrics"], lambda metrics: metrics.get("queue_position") == 1)
    assert second not in began(server)
    free(server, first, second)
    ended = server.wait_for(second)
    assert ended["status"] == "succeeded"
    assert min(ended["metrics"]["download_time"], ended["metrics"]["queue_time"]) > 0


def test_a_wait_that_is_too_long_fails_with_what_to_do(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "2", "--queue-timeout", "0.3")
    first, second = begin(server), begin(server)
    ended = server.wait_for(second)
    assert (ended["status"], ended["started_at"]) == ("failed", None)
    assert ended["error"].startswith("QueueTimeout: the prediction waited 0.3 seconds for a slot")
    assert shown(server, first)["status"] == "processing"
    third = begin(server)
    free(server, first, third)
    assert server.wait_for(third)["status"] == "succeeded"
    assert second not in began(server)


def test_those_that_wait_survive_the_death_of_a_worker(serve: Any) -> None:
    server: Server = serve(SYNC, "--max-queue", "8")
    dying = server.start_async({"code": "hold('go'); os._exit(3)"})
    waiting = [server.start_async({"code": f"out = {index}"}) for index in range(3)]
    (server.folder / "go").touch()
    assert server.wait_for(dying)["status"] == "failed"
    assert [server.wait_for(one)["output"] for one in waiting] == [0, 1, 2]


def test_the_queue_of_an_async_model_is_in_front_of_its_slots(serve: Any) -> None:
    server: Server = serve(ASYNC, "--max-queue", "4")
    held = [server.start_async({"code": "await held('go')\nreturn 1"}) for _ in range(12)]
    assert server.predict({"code": "return 1"}).status == 409
    states = [shown(server, one)["status"] for one in held]
    assert states == ["processing"] * 8 + ["starting"] * 4
    (server.folder / "go").touch()
    assert [server.wait_for(one)["output"] for one in held] == [1] * 12


def test_what_waits_ends_with_the_server(serve: Any) -> None:
    server: Server = serve(MODEL, "--max-queue", "2", "--drain-timeout", "0.2", "--cancel-grace", "1")
    begin(server)
    name = fresh()
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(server.predict({"name": name}, fields={"id": name}))
    )
    asking.start()
    until(lambda: shown(server, name).get("status"), lambda status: status == "starting")
    before = time.monotonic()
    assert server.stop() == 0
    asking.join(20)
    assert time.monotonic() - before < 15
    assert answers[0].json()["status"] == "canceled"
