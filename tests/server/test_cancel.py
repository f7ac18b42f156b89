"""Cancelling: every kind of model, wherever it is, however it behaves; and the slot is free after each."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.canceling import cancel, canceled, works
from support.serving import Server
from support.steps import body, fresh, let_go, model

ASYNC_GENERATOR = """
    import asyncio
    from pathlib import Path as LocalPath
    from collections.abc import AsyncIterator
    from cog import BaseRunner, concurrent

    FOLDER = LocalPath(__file__).parent

    class Runner(BaseRunner):
        async def run(self, name: str = "", wait: bool = True) -> AsyncIterator[str]:
            try:
                print("begins")
                yield "a"
                yield "b"
                (FOLDER / name).touch() if name else None
                while wait:
                    await asyncio.sleep(0.01)
            finally:
                print("cleans up")
"""

CHATTY = """
    from pathlib import Path as LocalPath
    from typing import Iterator
    from cog import BaseRunner, CancelationException

    class Runner(BaseRunner):
        def run(self, name: str) -> Iterator[int]:
            try:
                for number in range(10**9 if name else 2):
                    yield number
                    if number == 3:
                        (LocalPath(__file__).parent / name).touch()
            except CancelationException:
                print("was told")
                raise
"""


@pytest.fixture(scope="module")
def sync(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"), "--cancel-grace", "8")
    return started


@pytest.fixture(scope="module")
def coroutine(serve_once: Any) -> Server:
    started: Server = serve_once(model("async"), "--cancel-grace", "8")
    return started


@pytest.fixture(scope="module")
def two(serve_once: Any) -> Server:
    """An async model with two slots."""
    started: Server = serve_once(model("async"), env={"COG_MAX_CONCURRENCY": "2"})
    return started


# Sync models

SYNC = {
    "sleep": "reach($name)\ntime.sleep(20)",
    "busy loop": "reach($name)\nwhile True: pass",
    "system call": "read, write = os.pipe()\nreach($name)\nos.read(read, 1)",
    "lock": "lock = threading.Lock()\nlock.acquire()\nreach($name)\nlock.acquire(timeout=20)",
    "subprocess": "reach($name)\nsubprocess.run(['sleep', '20'])",
    "except Exception": """
        reach($name)
        while True:
            try:
                time.sleep(20)
            except Exception:
                pass
    """,
    "swallowed twice": """
        reach($name)
        for _ in range(2):
            try:
                time.sleep(20)
            except BaseException:
                pass
        time.sleep(20)
    """,
    "swallowed by __del__": """
        class Thing:
            def __del__(self):
                reach($name)
                time.sleep(20)
        thing = Thing()
        del thing
        time.sleep(20)
    """,
    "prints": """
        reach($name)
        while True:
            print("again")
    """,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", SYNC)
def test_a_sync_run_is_interrupted(sync: Server, what: str) -> None:
    name = fresh()
    pids = sync.workers()
    running = sync.start_async(body(SYNC[what], name=name))
    sync.wait_file(name)
    ended = canceled(sync, running)
    assert ended["metrics"]["predict_time"] > 0
    works(sync)
    assert sync.workers() == pids


def test_the_exception_is_cancelation_exception_and_cleanup_is_not_interrupted(sync: Server) -> None:
    code = """
        try:
            reach($name)
            time.sleep(20)
        except CancelationException as error:
            print("caught", isinstance(error, Exception))
            for number in range(5):
                time.sleep(0.1)
                print("cleaned", number)
            raise
        finally:
            time.sleep(0.2)
            print("finally")
    """
    name = fresh()
    running = sync.start_async(body(code, name=name))
    sync.wait_file(name)
    ended = canceled(sync, running)
    expected = ["caught False", *(f"cleaned {number}" for number in range(5)), "finally"]
    assert ended["logs"].splitlines() == expected
    assert ended["output"] is None
    works(sync)


def test_a_run_that_swallows_its_cancel_and_returns_is_canceled_still(sync: Server) -> None:
    code = """
        try:
            reach($name)
            time.sleep(20)
        except BaseException:
            return "whatever"
    """
    name = fresh()
    running = sync.start_async(body(code, name=name))
    sync.wait_file(name)
    canceled(sync, running)
    works(sync)


def test_a_generator_is_canceled_where_it_waits(serve: Any) -> None:
    server: Server = serve(model("generator"))
    name = fresh()
    code = """
        try:
            yield 1
            reach($name)
            time.sleep(20)
            yield 2
        finally:
            print("cleaned")
    """
    running = server.start_async(body(code, name=name))
    server.wait_file(name)
    ended = canceled(server, running)
    assert (ended["output"], ended["logs"]) == ([1], "cleaned\n")
    works(server, [7], "yield 7")


def test_a_generator_that_never_waits_is_canceled_at_a_yield(serve: Any) -> None:
    server: Server = serve(CHATTY)
    name = fresh()
    running = server.start_async({"name": name})
    server.wait_file(name)
    ended = canceled(server, running)
    assert ended["output"][:4] == [0, 1, 2, 3]
    assert ended["output"] == list(range(len(ended["output"])))
    assert ended["logs"] == "was told\n"
    assert server.predict({"name": ""}).json()["output"] == [0, 1]


# Async models


def test_an_async_run_is_canceled_at_its_await_and_cleans_up(coroutine: Server) -> None:
    code = """
        try:
            reach($name)
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)
            print("cleaned")
            raise
    """
    name = fresh()
    running = coroutine.start_async(body(code, name=name))
    coroutine.wait_file(name)
    ended = canceled(coroutine, running)
    assert ended["logs"] == "cleaned\n"
    works(coroutine)


def test_an_async_generator_is_canceled_and_keeps_its_output(serve: Any) -> None:
    server: Server = serve(ASYNC_GENERATOR)
    name = fresh()
    running = server.start_async({"name": name})
    server.wait_file(name)
    ended = canceled(server, running)
    assert (ended["output"], ended["logs"]) == (["a", "b"], "begins\ncleans up\n")
    assert server.predict({"wait": False}).json()["output"] == ["a", "b"]


def test_of_several_async_runs_only_the_one_is_canceled(two: Server) -> None:
    server = two
    gates = [fresh() for _ in range(2)]
    running = [server.start_async(body("await async_gate($gate)\nreturn 1", gate=gate)) for gate in gates]
    for gate in gates:
        server.wait_file(gate)
    canceled(server, running[1])
    assert server.get(f"/predictions/{running[0]}").json()["status"] == "processing"
    let_go(server, gates[0])
    assert [server.wait_for(one)["status"] for one in running] == ["succeeded", "canceled"]


def test_what_takes_a_place_while_a_cancel_cleans_up_waits_for_its_slot(two: Server) -> None:
    server = two
    name, gate = fresh(), fresh()
    code = """
        try:
            reach($name)
            await asyncio.sleep(20)
        finally:
            await async_gate($gate)
    """
    running = server.start_async(body(code, name=name, gate=gate))
    server.wait_file(name)
    assert cancel(server, running).status == 200
    server.wait_file(gate)
    answer = server.predict(body("return 5"), headers={"prefer": "respond-async"})
    assert (answer.status, answer.json()["status"]) == (202, "starting")
    time.sleep(0.01)  # less than a millisecond is not told
    let_go(server, gate)
    ended = server.wait_for(answer.json()["id"])
    assert ended["output"] == 5
    assert ended["metrics"]["queue_time"] >= 0.01
    assert server.wait_for(running)["status"] == "canceled"


def test_a_run_that_waits_for_its_slot_is_canceled_at_once(two: Server) -> None:
    server = two
    name, gate, never = fresh(), fresh(), fresh()
    code = "try:\n    reach($name)\n    await asyncio.sleep(20)\nfinally:\n    await async_gate($gate)"
    running = server.start_async(body(code, name=name, gate=gate))
    server.wait_file(name)
    assert cancel(server, running).status == 200
    server.wait_file(gate)
    waiting = server.start_async(body("reach($never)", never=never))
    ended = canceled(server, waiting)
    assert (ended["started_at"], ended["metrics"]) == (None, {})
    let_go(server, gate)
    server.wait_for(running)
    works(server)
    assert not (server.folder / never).exists()


# While files are fetched, too late, again, unknown


def test_a_run_whose_files_are_fetched_is_canceled_at_once_and_never_starts(serve: Any) -> None:
    server: Server = serve(
        "from cog import Path\ndef run(file: Path = None) -> int:\n    return 1\n", config="run: run.py:run\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        running = server.start_async({"file": f"http://127.0.0.1:{listener.getsockname()[1]}/a"})
        connection, _ = listener.accept()
        with connection:
            assert server.predict().status == 409
            ended = canceled(server, running, within=1.0)
    assert ended["started_at"] is None
    assert server.predict().json()["output"] == 1


def test_a_cancel_may_be_repeated(sync: Server) -> None:
    gate = fresh()
    code = "try:\n    time.sleep(20)\nexcept BaseException:\n    gate($gate)\n    raise"
    running = sync.start_async(body("reach($name)\n" + code, gate=gate, name=gate + "begun"))
    sync.wait_file(gate + "begun")
    for _ in range(3):
        assert cancel(sync, running).status == 200
    sync.wait_file(gate)
    assert cancel(sync, running).status == 200
    let_go(sync, gate)
    assert sync.wait_for(running)["status"] == "canceled"
    works(sync)


@pytest.mark.parametrize("unknown", ["never-was", "a%2Fb"])
def test_a_cancel_of_an_unknown_id_is_404(sync: Server, unknown: str) -> None:
    answer = cancel(sync, unknown)
    assert answer.status == 404
    assert answer.json()["status"] == "failed"


def test_a_cancel_of_an_ended_one_is_404_and_changes_nothing(sync: Server) -> None:
    shown = sync.predict(body("return 1")).json()
    assert cancel(sync, shown["id"]).status == 404
    assert sync.get(f"/predictions/{shown['id']}").json() == shown


def test_the_body_of_a_cancel_is_ignored(sync: Server) -> None:
    name = fresh()
    running = sync.start_async(body("reach($name)\ntime.sleep(20)", name=name))
    sync.wait_file(name)
    answer = sync.call("POST", f"/predictions/{running}/cancel", body=b"{", headers={"content-type": "x/y"})
    assert answer.status == 200
    assert sync.wait_for(running)["status"] == "canceled"


def test_cancels_that_race_with_the_end_never_hit_the_next_run(sync: Server) -> None:
    for number in range(40):
        running = sync.start_async(
            body(f"end = time.perf_counter() + {number % 8} / 4000\nwhile time.perf_counter() < end: pass")
        )
        assert cancel(sync, running).status in (200, 404)
        assert sync.wait_for(running)["status"] in ("succeeded", "canceled")
        works(sync, 45, "return sum(range(10))")


# Clients that go away


@pytest.fixture
def connection(sync: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(sync.url.rpartition(":")[2])), timeout=10) as opened:
        yield opened


def request_text(input: dict[str, Any], prediction_id: str, prefer: str = "") -> bytes:
    raw = json.dumps({"id": prediction_id, "input": input}).encode()
    head = f"POST /predictions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n"
    return (head + prefer + "\r\n").encode() + raw


def test_a_sync_client_that_goes_away_cancels(sync: Server, connection: socket.socket) -> None:
    name = fresh()
    connection.sendall(request_text(body("reach($name)\ntime.sleep(20)", name=name), name))
    sync.wait_file(name)
    connection.close()
    assert sync.wait_for(name, timeout=5)["status"] == "canceled"
    works(sync)


def test_an_async_client_that_goes_away_does_not(sync: Server, connection: socket.socket) -> None:
    gate = fresh()
    prefer = "prefer: respond-async\r\n"
    connection.sendall(request_text(body("gate($gate)\nreturn 3", gate=gate), gate, prefer))
    assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")
    connection.close()
    sync.wait_file(gate)
    works_not = sync.predict()
    assert works_not.status == 409
    let_go(sync, gate)
    assert sync.wait_for(gate)["output"] == 3


def test_one_who_attached_and_goes_away_does_not_cancel(sync: Server) -> None:
    gate = fresh()
    sync.call(
        "PUT",
        f"/predictions/{gate}",
        {"input": body("gate($gate)\nreturn 3", gate=gate)},
        headers={"prefer": "respond-async"},
    )
    sync.wait_file(gate)
    assert sync.call("PUT", f"/predictions/{gate}", {}).status == 202
    let_go(sync, gate)
    assert sync.wait_for(gate)["output"] == 3


# The slot is free when the answer is there


@pytest.mark.parametrize("fixture", ["sync", "coroutine"])
def test_300_requests_one_after_another_never_meet_a_busy_slot(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(fixture)
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=20)
    statuses = []
    for _ in range(300):
        connection.request(
            "POST", "/predictions", b'{"input":{"code":"return 1"}}', {"content-type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200] * 300
