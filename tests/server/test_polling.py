"""Asking for predictions: one, a page of all, and for how long they are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.serving import Server, until
from support.steps import body, fresh, let_go, model

SHOWN = ["id", "error", "status", "metrics", "created_at", "started_at", "completed_at"]


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"))
    return started


def test_one_is_seen_as_it_stands_and_as_it_ended(server: Server) -> None:
    gate = fresh()
    running = server.start_async(body("print('hi')\ngate($gate)\nreturn 5", gate=gate))
    server.wait_file(gate)
    seen = server.get(f"/predictions/{running}")
    assert (seen.status, seen.headers["content-type"]) == (200, "application/json")
    assert (seen.json()["status"], seen.json()["logs"], seen.json()["output"]) == ("processing", "hi\n", None)
    let_go(server, gate)
    ended = server.wait_for(running)
    assert (ended["status"], ended["output"], ended["logs"]) == ("succeeded", 5, "hi\n")
    assert ended["created_at"] == seen.json()["created_at"]


def test_the_kept_one_is_the_same_object_as_the_answer(server: Server) -> None:
    answer = server.predict(body("return 1"))
    assert server.get(f"/predictions/{answer.json()['id']}").body == answer.body
    head = server.call("HEAD", f"/predictions/{answer.json()['id']}")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("unknown", ["never-was", "a%20b", "..", "%00"])
def test_an_unknown_one_is_404(server: Server, unknown: str) -> None:
    answer = server.get(f"/predictions/{unknown}")
    assert answer.status == 404
    assert answer.json()["status"] == "failed"
    assert "--keep" in answer.json()["error"]


def test_the_list_is_newest_first_without_what_is_large(server: Server) -> None:
    gate = fresh()
    failed = server.predict(body("print('x'); raise ValueError('no')")).json()["id"]
    done = server.predict(body("return 'large'")).json()["id"]
    running = server.start_async(body("gate($gate)", gate=gate))
    listed = server.get("/predictions").json()
    assert list(listed) == ["previous", "next", "results"]
    first, second, third = listed["results"][:3]
    assert [list(shown) for shown in (first, second, third)] == [SHOWN] * 3
    assert [first["id"], second["id"], third["id"]] == [running, done, failed]
    assert [first["status"], second["status"], third["status"]] == ["processing", "succeeded", "failed"]
    assert (first["completed_at"], third["error"]) == (None, "ValueError: no")
    assert second["metrics"]["predict_time"] > 0
    let_go(server, gate)
    server.wait_for(running)


def follow(server: Server, url: str) -> Any:
    parts = urlsplit(url)
    assert f"http://{parts.netloc}" == server.url
    answer = server.get(f"{parts.path}?{parts.query}")
    assert answer.status == 200
    return answer.json()


def test_pages_lead_to_each_other(serve: Any) -> None:
    server: Server = serve("def run(x: int) -> int:\n    return x\n", config="run: run.py:run\n")
    made = [server.predict({"x": x}).json()["id"] for x in range(205)][::-1]
    first = server.get("/predictions").json()
    assert first["previous"] is None
    second = follow(server, first["next"])
    third = follow(server, second["next"])
    assert third["next"] is None
    pages = [[shown["id"] for shown in page["results"]] for page in (first, second, third)]
    assert [len(page) for page in pages] == [100, 100, 5]
    assert pages[0] + pages[1] + pages[2] == made
    assert follow(server, third["previous"]) == second
    assert follow(server, second["previous"])["results"] == first["results"]
    newer = server.predict({"x": 0}).json()["id"]
    assert follow(server, first["next"])["results"] == second["results"]
    assert server.get("/predictions").json()["results"][0]["id"] == newer


def test_a_cursor_that_is_not_kept_is_404(server: Server) -> None:
    answer = server.get("/predictions?cursor=nobody")
    assert answer.status == 404
    assert "cursor" in answer.json()["error"]


def test_keep_0_keeps_nothing(serve: Any) -> None:
    server: Server = serve(model("sync"), "--keep", "0")
    gate, name = fresh(), fresh()
    ended = server.call("PUT", f"/predictions/{name}", {"input": body("return 1")}).json()
    assert ended["output"] == 1
    assert server.get(f"/predictions/{name}").status == 404
    assert server.get("/predictions").json() == {"previous": None, "next": None, "results": []}
    assert server.call("PUT", f"/predictions/{name}", {"input": body("return 2")}).json()["output"] == 2
    running = server.start_async(body("gate($gate)", gate=gate))
    assert [shown["id"] for shown in server.get("/predictions").json()["results"]] == [running]
    assert server.get(f"/predictions/{running}").json()["status"] == "processing"
    let_go(server, gate)
    until(lambda: server.get(f"/predictions/{running}").status, lambda status: status == 404)


def test_an_ended_one_is_forgotten_after_its_time(serve: Any) -> None:
    server: Server = serve(model("sync"), "--keep", "0.3")
    name = server.predict().json()["id"]
    until(lambda: server.get(f"/predictions/{name}").status, lambda status: status == 404, 10)
    assert server.get("/predictions").json()["results"] == []


def test_what_is_over_its_time_takes_no_memory_also_when_nobody_asks(serve: Any) -> None:
    server: Server = serve(model("sync"), "--keep", "2")
    statm = Path(f"/proc/{server.process.pid}/statm")

    def megabytes() -> int:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

    server.predict(body("return 'x' * 60_000_000"))
    held = megabytes()
    until(megabytes, lambda now: now < held - 50)
