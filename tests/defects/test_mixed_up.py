"""What belongs to one prediction never shows up in another, and nothing of it is lost or put in another order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from support.receiving import Incoming, Reply, receiving
from support.serving import Server, until

Served = Callable[..., Server]
Beside = Callable[..., "Future[Any]"]


def test_j35_text_without_a_newline_stays_with_its_prediction(served: Served) -> None:
    server = served()
    first = server.predict({"s": "print('secret-A', end='')"}).json()
    second = server.predict({"s": "print('line-B')"}).json()
    assert (first["logs"], second["logs"]) == ("secret-A", "line-B\n")


LETTERS = """
import asyncio
from cog import BaseRunner

class Runner(BaseRunner):
    def setup(self) -> None:
        self.turn = asyncio.Condition()
        self.printed = 0

    async def run(self, letter: str) -> str:
        for _ in range(3):
            print(letter, end="")
            async with self.turn:
                self.printed += 1
                self.turn.notify_all()
                level = (self.printed - 1) // 3 * 3 + 3
                await asyncio.wait_for(self.turn.wait_for(lambda: self.printed >= level), 10)
        return letter
"""


def test_j35_three_at_once(served: Served, beside: Beside) -> None:
    server = served(LETTERS, env={"COG_MAX_CONCURRENCY": "3"})
    answers = [beside(server.predict, {"letter": letter}) for letter in "ABC"]
    assert [answer.result(20).json()["logs"].rstrip("\n") for answer in answers] == ["AAA", "BBB", "CCC"]


COUNTED = """
import asyncio, os, pathlib, uuid
from cog import BaseRunner

class Runner(BaseRunner):
    async def run(self, go: str) -> int:
        pathlib.Path(f"run-{uuid.uuid4()}").touch()
        while not os.path.exists(go):
            await asyncio.sleep(0.01)
        return len(list(pathlib.Path(".").glob("run-*")))
"""


def test_j11_an_id_in_flight_runs_once(served: Served, beside: Beside, tmp_path: Path) -> None:
    server = served(COUNTED, env={"COG_MAX_CONCURRENCY": "3"})
    go = tmp_path / "go"
    first = beside(server.predict, {"go": str(go)}, fields={"id": "same"})
    until(lambda: list(server.folder.glob("run-*")), bool)
    others = [beside(server.predict, {"go": str(go)}, fields={"id": "same"}) for _ in range(2)]
    attached = [other.result(5) for other in others]
    go.touch()
    assert first.result(10).json()["output"] == 1
    assert [(answer.status, answer.json()["id"]) for answer in attached] == [(202, "same")] * 2


SECRET = """
import os, pathlib, time
from cog import BaseRunner, Secret

class Runner(BaseRunner):
    def run(self, key: Secret, go: str) -> int:
        pathlib.Path("started").touch()
        while not os.path.exists(go):
            time.sleep(0.01)
        return len(key.get_secret_value())
"""


def test_j24_nobody_gets_the_secret_of_another(served: Served, beside: Beside, tmp_path: Path) -> None:
    server = served(SECRET)
    go = tmp_path / "go"
    body = {"input": {"key": "hunter2", "go": str(go)}}
    first = beside(server.call, "PUT", "/predictions/one", body)
    server.wait_file("started")
    answer = server.call("PUT", "/predictions/one", {"input": {"key": "x", "go": "y"}}, timeout=5)
    go.touch()
    assert answer.status == 202
    assert b"hunter2" not in answer.body
    assert first.result(10).json()["output"] == 7
    assert b"hunter2" not in first.result(10).body


def test_j34_an_id_is_never_a_path(served: Served, tmp_path: Path) -> None:
    server = served()
    target = tmp_path / "evil"
    climbing = "../" * 12 + str(target)[1:]
    for identity in (str(target), climbing):
        assert server.predict({"s": "out = 1"}, fields={"id": identity}).status == 422
    path = climbing.replace("/", "%2f")
    assert server.call("PUT", f"/predictions/{path}", {"input": {"s": "out = 1"}}).status == 422
    assert not target.exists()


FILES = """
import pathlib, os
from typing import Any
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, s: str) -> Any:
        names = {"Path": Path, "pathlib": pathlib, "os": os}
        exec(s, names)
        return names["out"]
"""


def test_j4_uploaded_files_keep_their_order(served: Served) -> None:
    def answer(incoming: Incoming) -> Reply:
        if "slow" in incoming.target:
            time.sleep(0.5)  # this is the defect's reproduction: the first upload takes longer
        return Reply()

    with receiving(answer) as bucket:
        server = served(FILES, "--upload-url", f"{bucket.url}/up/")
        code = "out = []\nfor n in ('slow.txt', 'fast.txt'):\n p = pathlib.Path(n); p.write_text(n); out.append(Path(n))\nout.append('str')"
        answered = server.predict({"s": code}).json()
    assert answered["output"] == [f"{bucket.url}/up/slow.txt", f"{bucket.url}/up/fast.txt", "str"]


OVERWRITING = """
import pathlib
from typing import Iterator
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def run(self, unlink: bool) -> Iterator[Path]:
        for number in range(8):
            path = pathlib.Path("same.txt")
            path.write_text(str(number))
            yield Path(path)
            if unlink:
                path.unlink()
"""


def test_j5_a_file_that_is_written_again_or_removed(served: Served) -> None:
    server = served(OVERWRITING)
    wanted = [
        f"data:text/plain;base64,{text}"
        for text in ["MA==", "MQ==", "Mg==", "Mw==", "NA==", "NQ==", "Ng==", "Nw=="]
    ]
    for unlink in (False, True):
        assert server.predict({"unlink": unlink}).json()["output"] == wanted


def test_j5_a_missing_file_is_named_and_a_relative_one_found(served: Served) -> None:
    server = served(FILES)
    for code in ("out = Path('not-there.txt')", "out = [Path('not-there.txt')]", "out = Path('/tmp')"):
        answer = server.predict({"s": code}).json()
        assert answer["status"] == "failed"
        assert "not-there.txt" in answer["error"] or "/tmp" in answer["error"]
    code = "os.makedirs('sub', exist_ok=True); os.chdir('sub'); pathlib.Path('x.txt').write_text('x'); out = Path('x.txt')"
    assert server.predict({"s": code}).json()["output"] == "data:text/plain;base64,eA=="


def test_j19_names_at_the_upload_url(served: Served) -> None:
    with receiving(lambda _: Reply(201, headers={"location": "/kept/here?token=secret"})) as bucket:
        server = served(FILES, "--upload-url", f"{bucket.url}/up/")
        code = (
            "out = []\n"
            "for n in ('a/x.txt', 'b/x.txt', 'c/#?.txt'):\n"
            " os.makedirs(os.path.dirname(n), exist_ok=True); pathlib.Path(n).write_text(n); out.append(Path(n))\n"
            "out = {'list': out[:2], 'dict': {'deep': out[2]}}"
        )
        answered = server.predict({"s": code}).json()
    bodies = {request.path: request.body for request in bucket.got}
    assert sorted(bodies.values()) == [b"a/x.txt", b"b/x.txt", b"c/#?.txt"]
    assert len(bodies) == 3
    assert "/up/%23%3F.txt" in bodies
    # A relative Location is a URL for the reader, its query is not shown.
    assert answered["output"]["dict"]["deep"] == f"{bucket.url}/kept/here"
    assert len(answered["output"]["list"]) == 2


ASYNC = """
from cog import BaseRunner

class Runner(BaseRunner):
    async def run(self, text: str) -> str:
        raise ValueError(text)
"""


def test_j39_a_text_that_speaks_of_cancelling_is_no_cancel(served: Served) -> None:
    server = served(ASYNC)
    answer = server.predict({"text": "operation was cancelled by user"}).json()
    assert (answer["status"], answer["error"]) == ("failed", "ValueError: operation was cancelled by user")


def test_j43_the_order_of_keys_is_kept(served: Served) -> None:
    server = served()
    body = json.dumps(
        {
            "input": {
                "s": "print(list(d)); out = {'z': 1, 'a': {'y': 2, 'b': 3}, 'm': 4}",
                "d": {"z": 1, "a": 2, "m": 3},
            }
        }
    )
    answer = server.call(
        "POST", "/predictions", body=body.encode(), headers={"content-type": "application/json"}
    )
    assert "['z', 'a', 'm']" in answer.json()["logs"]
    assert b'"output":{"z":1,"a":{"y":2,"b":3},"m":4}' in answer.body.replace(b" ", b"")
