"""Cancels that race with the end of a prediction and with the death of its worker: exactly once, and never another one."""

from __future__ import annotations

import collections
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import threading
import time
from typing import Any

import pytest

from support.ending import connected, port_of
from support.serving import DEADLINE, Server, until

_HEAD = """
import asyncio, time
from collections.abc import AsyncIterator, Iterator
from cog import BaseRunner, concurrent

def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

class Runner(BaseRunner):
"""

MODELS = {
    "sync": """
    def run(self, token: str, seconds: float = 0.0, sleeps: bool = False) -> str:
        time.sleep(seconds) if sleeps else spin(seconds)
        return token
""",
    "generator": """
    def run(self, token: str, seconds: float = 0.0, sleeps: bool = False) -> Iterator[str]:
        yield token
        time.sleep(seconds) if sleeps else spin(seconds)
        yield token
""",
    "async": """
    @concurrent(max=4)
    async def run(self, token: str, seconds: float = 0.0, sleeps: bool = False) -> str:
        await asyncio.sleep(seconds) if sleeps else spin(seconds)
        return token
""",
    "async generator": """
    @concurrent(max=4)
    async def run(self, token: str, seconds: float = 0.0, sleeps: bool = False) -> AsyncIterator[str]:
        yield token
        await asyncio.sleep(seconds)
        yield token
""",
}
SLOTS = {"sync": 1, "generator": 1, "async": 4, "async generator": 4}
_numbers = itertools.count()


class Racer:
    """One client that races: a prediction and its cancel, then a prediction that must not notice."""

    def __init__(self, server: Server, kind: str, seed: int, deaths: float = 0.0) -> None:
        self.server = server
        self.seen: collections.Counter[str] = collections.Counter()
        self._whole = (lambda token: [token, token]) if "generator" in kind else (lambda token: token)
        self._choose = random.Random(f"{kind}{seed}")
        self._deaths = deaths
        self._connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=DEADLINE)

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        raw = None if body is None else json.dumps(body)
        self._connection.request(method, path, raw, {"content-type": "application/json", **headers})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def race(self) -> None:
        choose = self._choose
        seconds = choose.choice((0.0, 0.0002, 0.001, 0.003))
        token = f"race{next(_numbers)}"
        input = {"token": token, "seconds": seconds, "sleeps": choose.random() < 0.5}
        way = choose.choice(("POST", "PUT", "waits", "leaves"))
        with contextlib.ExitStack() as stack:
            waiting = self._begin(way, token, input, stack)
            end = time.perf_counter() + choose.uniform(0, seconds + 0.001)
            while time.perf_counter() < end:
                pass  # shorter than any event could be waited for
            if choose.random() < self._deaths:
                for pid in self.server.workers():
                    with contextlib.suppress(ProcessLookupError):  # the former one has gone just now
                        os.kill(pid, signal.SIGKILL)
                self.seen["death"] += 1
            if way == "leaves":
                assert waiting is not None
                waiting.close()
            else:
                for _ in range(choose.choice((1, 1, 3))):
                    assert self.ask("POST", f"/predictions/{token}/cancel")[0] in (200, 404)
            ended = self._end_of(token, waiting if way == "waits" else None)
        self._check(ended, token, (token,))
        self.seen[ended["status"]] += 1
        if way == "PUT":
            self._again(token, ended["status"])
        self.next()

    def _begin(
        self, way: str, token: str, input: dict[str, Any], stack: contextlib.ExitStack
    ) -> socket.socket | None:
        if way in ("POST", "PUT"):
            path = "/predictions" if way == "POST" else f"/predictions/{token}"
            status, shown = self.ask(way, path, {"id": token, "input": input}, prefer="respond-async")
            assert (status, shown["id"]) == (202, token), shown
            return None
        connection = stack.enter_context(connected(self.server))
        raw = json.dumps({"id": token, "input": input})
        connection.sendall(
            f"POST /predictions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(raw)}\r\n\r\n{raw}".encode()
        )
        until(lambda: self.ask("GET", f"/predictions/{token}")[0], lambda status: status == 200, 5)
        return connection

    def _end_of(self, token: str, waiting: socket.socket | None) -> Any:
        if waiting is None:
            return until(
                lambda: self.ask("GET", f"/predictions/{token}")[1],
                lambda shown: shown["status"] in ("succeeded", "failed", "canceled"),
            )
        data = b""
        while more := waiting.recv(65536):
            data += more
        return json.loads(data.partition(b"\r\n\r\n")[2])

    def _check(self, ended: Any, token: str, allowed: tuple[str, ...]) -> None:
        if ended["status"] == "succeeded":
            assert ended["output"] == self._whole(token), ended
        elif ended["status"] == "failed":
            assert self._deaths, ended
            assert ended["error"].startswith("WorkerDied"), ended
        else:
            assert (ended["status"], ended["error"]) == ("canceled", None), ended
            assert all(text == token for text in ended["output"] or ()), ended

    def _again(self, token: str, status: str) -> None:
        """The same id at once: what has succeeded is shown, anything else runs anew, and no old cancel hits it."""
        shown = self._run(
            "PUT", f"/predictions/{token}", token if status == "succeeded" else f"again-{token}"
        )
        self.seen["again"] += shown is not None

    def next(self) -> None:
        self._run("POST", "/predictions", f"next{next(_numbers)}")

    def _run(self, method: str, path: str, token: str) -> Any:
        """A prediction that nobody cancels: it is right, at once unless a worker has just died."""
        deadline = time.monotonic() + DEADLINE
        while True:
            status, shown = self.ask(method, path, {"input": {"token": token}})
            if status == 200 and shown["status"] == "succeeded":
                assert shown["output"] == self._whole(token), shown
                return shown
            died = status == 503 or (status == 200 and str(shown["error"]).startswith("WorkerDied"))
            assert self._deaths, shown
            assert died, shown
            assert time.monotonic() < deadline, shown
            self.server.wait_health("READY", "STARTING")


def all_slots_are_there(server: Server, slots: int) -> None:
    """As many run at once as there are slots, and no more."""
    server.wait_health("READY")
    running = [server.start_async({"token": "t", "seconds": 20.0, "sleeps": True}) for _ in range(slots)]
    assert server.predict({"token": "t"}).status == 409
    for one in running:
        assert server.call("POST", f"/predictions/{one}/cancel").status == 200
        assert server.wait_for(one)["status"] == "canceled"
    assert server.health()["status"] == "READY"
    assert "Traceback" not in server.log


def races(server: Server, kind: str, count: int, deaths: float = 0.0) -> collections.Counter[str]:
    """Run `count` races, as many at a time as there are slots (with deaths one at a time: they hit all of them)."""
    racers = [Racer(server, kind, seed, deaths) for seed in range(1 if deaths else SLOTS[kind])]
    failures: list[BaseException] = []

    def run(racer: Racer) -> None:
        try:
            for _ in range(count // len(racers)):
                racer.race()
        except BaseException as error:
            failures.append(error)
        finally:
            racer.close()

    threads = [threading.Thread(target=run, args=(racer,)) for racer in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    all_slots_are_there(server, SLOTS[kind])
    return sum((racer.seen for racer in racers), collections.Counter())


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_a_cancel_hits_its_own_prediction_or_nothing(serve: Any, kind: str) -> None:
    seen = races(serve(_HEAD + MODELS[kind]), kind, 150)
    # Each happened; how often is a matter of what else the machine does.
    assert seen["succeeded"] > 0, seen
    assert seen["canceled"] > 0, seen
    assert seen["again"] > 0, seen


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_also_when_the_worker_dies_meanwhile(serve: Any, kind: str) -> None:
    seen = races(serve(_HEAD + MODELS[kind]), kind, 20, deaths=0.2)
    assert seen["death"] >= 1, seen


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", MODELS)
def test_10000_races(serve: Any, kind: str) -> None:
    print(kind, races(serve(_HEAD + MODELS[kind]), kind, 2500))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", MODELS)
def test_1000_races_with_deaths(serve: Any, kind: str) -> None:
    print(kind, races(serve(_HEAD + MODELS[kind]), kind, 1000, deaths=0.1))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_100_cancels_of_one_prediction_are_one(serve: Any, kind: str) -> None:
    server: Server = serve(_HEAD + MODELS[kind])
    with contextlib.closing(Racer(server, kind, 0)) as racer:
        for _ in range(3):
            running = server.start_async({"token": "t", "seconds": 20.0, "sleeps": True})
            statuses = [racer.ask("POST", f"/predictions/{running}/cancel")[0] for _ in range(100)]
            assert statuses == sorted(statuses)
            assert set(statuses) <= {200, 404}
            assert server.wait_for(running)["status"] == "canceled"
            racer.next()
    all_slots_are_there(server, SLOTS[kind])
