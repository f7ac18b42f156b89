"""Many clients of a model that takes batches, who cancel, hang up and fail, while its workers are killed: no answer is
anybody else's, and no place is lost.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.serving import Server, until

MODEL = """
import random, time
from cog import BaseRunner, Input, batch, current_batch


class Runner(BaseRunner):
    @batch(max_size=4, max_wait=0.005, same=("kind",))
    DEF run(self, text: list[str], fail: list[bool] = Input(default=False), kind: str = "") -> list[str]:
        time.sleep(random.random() / 100)
        for one, scope in zip(text, current_batch()):
            with scope:
                print("of", one)
        return [ValueError(one) if wrong else kind + one for one, wrong in zip(text, fail)]
"""
SECONDS = 12
CLIENTS = 12


class Crowd:
    """What the clients have seen."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.until = time.monotonic() + SECONDS
        self.seen: dict[str, int] = {}
        self.lock = threading.Lock()

    def count(self, what: str) -> None:
        with self.lock:
            self.seen[what] = self.seen.get(what, 0) + 1

    def client(self, number: int) -> None:
        chance = random.Random(number)
        for step in range(1_000_000):
            if time.monotonic() > self.until:
                return
            name = f"c{number}-{step}"
            kind = chance.choice(["", "", "k"])
            match chance.randrange(10):
                case 0:
                    self.hang_up(name, kind)
                case 1:
                    self.cancel(name, kind)
                case 2:
                    self.ask(name, kind, fail=True)
                case _:
                    self.ask(name, kind)

    def ask(self, name: str, kind: str, *, fail: bool = False) -> None:
        answer = self.server.predict({"text": name, "kind": kind, "fail": fail})
        if answer.status in (409, 503):
            self.count("refused")
            threading.Event().wait(0.005)  # a client that is refused comes again
            return
        assert answer.status == 200, answer
        self.check(answer.json(), name, kind, fail=fail)

    def check(self, shown: Any, name: str, kind: str, *, fail: bool = False) -> None:
        assert shown["input"]["text"] == name
        if (shown["error"] or "").startswith("WorkerDied"):
            self.count("died")
            return
        assert [line for line in shown["logs"].splitlines() if line.startswith("of ")] == [f"of {name}"]
        assert 1 <= shown["metrics"]["batch_size"] <= 4
        if fail:
            assert (shown["status"], shown["error"]) == ("failed", f"ValueError: {name}")
        else:
            assert (shown["status"], shown["output"]) == ("succeeded", kind + name)
        self.count("failed" if fail else "right")

    def cancel(self, name: str, kind: str) -> None:
        answer = self.server.predict(
            {"text": name, "kind": kind}, fields={"id": name}, headers={"prefer": "respond-async"}
        )
        if answer.status != 202:
            assert answer.status in (409, 503), answer
            return
        self.server.call("POST", f"/predictions/{name}/cancel")
        shown = self.server.wait_for(name)
        if shown["status"] == "canceled":
            self.count("canceled")
        else:
            self.check(shown, name, kind)

    def hang_up(self, name: str, kind: str) -> None:
        connection = http.client.HTTPConnection(self.server.url.removeprefix("http://"))
        body = json.dumps({"input": {"text": name, "kind": kind}})
        connection.request("PUT", f"/predictions/{name}", body, {"content-type": "application/json"})
        connection.close()
        self.count("hung up")

    def kill(self) -> None:
        while time.monotonic() < self.until - 2:
            self.server.wait_health("READY", "BUSY")
            for pid in self.server.workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                self.count("killed")
            threading.Event().wait(1.5)


@pytest.mark.slow
@pytest.mark.parametrize(("style", "flags"), [("def", ("--threads", "2")), ("async def", ("--workers", "2"))])
def test_no_answer_is_anybody_elses(serve: Any, style: str, flags: tuple[str, ...]) -> None:
    server: Server = serve(MODEL.replace("DEF", style), *flags, "--max-queue", "4")
    crowd = Crowd(server)
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        work = [pool.submit(crowd.client, number) for number in range(CLIENTS)] + [pool.submit(crowd.kill)]
        for each in work:
            each.result()
    print(crowd.seen)
    assert crowd.seen["right"] > 100
    assert min(crowd.seen.get(what, 0) for what in ("failed", "hung up", "canceled", "killed", "died")) > 0
    until(lambda: server.health()["status"], lambda status: status == "READY")
    until(
        lambda: server.get("/predictions").json()["results"],
        lambda listed: all(one["status"] not in ("starting", "processing") for one in listed),
    )
    # Every place is there again.
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: server.predict({"text": str(index)}), range(8)))
    assert [answer.json()["output"] for answer in answers] == [str(index) for index in range(8)]
