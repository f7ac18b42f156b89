"""A prediction is followed to its end, whatever becomes of the stream that tells of it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cog.client.connection import Connection
from cog.client.interface import Interface
from cog.client.model import RemoteModel
from cog.client.progress import Chunk, Ended, Follower, Happening, Printed
from cog.errors import ModelFailed, ServerUnreachable

INTERFACE = Interface("prediction", {}, {}, polls=True)
ENDED = {"id": "p", "status": "succeeded", "output": ["a", "b", "c"], "logs": "one\ntwo\n"}


def event(name: str, data: Any, id: str = "") -> bytes:
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


A, B, C = (event("output", {"chunk": text, "index": place}, f"o{place}") for place, text in enumerate("abc"))
ONE, TWO = (
    event("log", {"data": text, "source": "stdout"}, f"log{number}")
    for number, text in enumerate(("one\n", "two\n"), 1)
)
END = event("completed", ENDED, "end")
LAGGED = event("error", {"error": "SSE stream lagged; events were dropped", "skipped": 3})


class Script:
    """A server that answers each request with the next of `answers`: the bytes of a stream, a document, or a status."""

    def __init__(self, answers: list[bytes | dict[str, Any] | int]) -> None:
        self.seen: list[tuple[str, str | None]] = []
        script = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script.seen.append((self.headers["Accept"], self.headers["Last-Event-ID"]))
                answer = answers.pop(0)
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header(
                    "Content-Type", "text/event-stream" if isinstance(answer, bytes) else "application/json"
                )
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def follow() -> Iterator[Any]:
    scripts: list[Script] = []
    threads: list[threading.Thread] = []

    def start(*answers: bytes | dict[str, Any] | int) -> tuple[list[Happening], Script]:
        script = Script(list(answers))
        scripts.append(script)
        threads.append(threading.Thread(target=script.server.serve_forever, args=(0.01,)))
        threads[-1].start()
        follower = Follower(RemoteModel(Connection(script.url)), INTERFACE, "p", lambda: None)
        return list(follower.happenings()), script

    yield start
    for script in scripts:
        script.server.shutdown()
        script.server.server_close()
    for thread in threads:
        thread.join()


ALL = [Chunk(0, "a"), Printed("one\n"), Chunk(1, "b"), Printed("two\n"), Chunk(2, "c"), Ended(ENDED)]


def test_a_whole_stream(follow: Any) -> None:
    happenings, script = follow(
        event("start", {}) + A + ONE + b": keep-alive\n\n" + B + TWO + event("metric", {}) + C + END
    )
    assert happenings == ALL
    assert script.seen == [("text/event-stream", None)]


def test_a_stream_that_breaks_off_is_taken_up_where_it_was(follow: Any) -> None:
    """From the last event that was whole."""
    happenings, script = follow(A + ONE + B[:-1], B + TWO + C, END)
    assert happenings == ALL
    assert [last for _, last in script.seen] == [None, "log1", "o2"]


def test_chunks_that_are_told_again_count_once(follow: Any) -> None:
    happenings, _ = follow(A + B, A + B + C + END)
    assert [each for each in happenings if isinstance(each, Chunk)] == [
        Chunk(0, "a"),
        Chunk(1, "b"),
        Chunk(2, "c"),
    ]


def test_what_a_stream_has_dropped_is_asked_for(follow: Any) -> None:
    running = ENDED | {"status": "processing", "output": ["a", "b"], "logs": "one\n"}
    happenings, script = follow(A + ONE + LAGGED, running, ENDED)
    assert happenings == [Chunk(0, "a"), Printed("one\n"), Chunk(1, "b"), Printed("two\n"), Ended(ENDED)]
    assert [accept for accept, _ in script.seen] == [
        "text/event-stream",
        "application/json",
        "application/json",
    ]


def test_a_server_without_streams_is_asked_again_and_again(follow: Any) -> None:
    running = ENDED | {"status": "processing", "output": ["a"], "logs": ""}
    happenings, _ = follow({"any": "JSON"}, running, running, ENDED)
    assert happenings == [Chunk(0, "a"), Printed("one\ntwo\n"), Ended(ENDED)]


def test_a_prediction_that_nobody_knows_any_more_is_lost(follow: Any) -> None:
    with pytest.raises(ModelFailed, match="The prediction is lost"):
        follow(404, 404)


def test_a_server_that_is_gone_is_told_at_once_by_who_knows_it() -> None:
    def gone() -> None:
        raise ModelFailed("it crashed")

    follower = Follower(RemoteModel(Connection("http://127.0.0.1:1")), INTERFACE, "p", gone)
    with pytest.raises(ModelFailed, match="it crashed"):
        list(follower.happenings())


def test_what_answers_something_else_is_no_server(follow: Any) -> None:
    script = Script([])
    with script.server:
        connection = Connection(script.url)
        script.server.server_close()
        with pytest.raises(ServerUnreachable, match="Is the server running"):
            RemoteModel(connection).status()
