"""Event streams of predictions that a request creates: what is in them, when it comes, and who gets none."""

from __future__ import annotations

from typing import Any

import pytest

from support.serving import Server
from support.sockets import get, raw
from support.steps import body, fresh, let_go, model
from support.streams import ASYNC, EVENTS, SYNC, Stream, chunks, streaming, told


@pytest.fixture(scope="module")
def servers(serve_once: Any) -> dict[str, Server]:
    return {"sync": serve_once(SYNC), "async": serve_once(ASYNC)}


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(servers: dict[str, Server], kind: str) -> Server:
    return servers[kind]


def create(server: Server, code: str, **names: object) -> Any:
    return streaming(server, body={"input": body(code, **names)})


def test_every_event_in_its_order(server: Server) -> None:
    code = """
        import sys
        print("one")
        yield "a"
        print("two", file=sys.stderr)
        current_scope().record_metric("tokens.count", 2, mode="incr")
        yield {"b": [1, None]}
    """
    with create(server, code) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["transfer-encoding"] == "chunked"
        events = told(stream)
    assert [event.name for event in events] == [
        "start", "log", "output", "log", "metric", "output", "completed",
    ]  # fmt: skip
    start, one, a, two, metric, b, completed = (event.data for event in events)
    assert (one, two) == ({"data": "one\n", "source": "stdout"}, {"data": "two\n", "source": "stderr"})
    assert (a, b) == ({"chunk": "a", "index": 0}, {"chunk": {"b": [1, None]}, "index": 1})
    assert metric == {"name": "tokens.count", "value": 2, "mode": "increment"}
    assert start == {"id": completed["id"], "status": "processing"}
    assert (completed["status"], completed["output"]) == ("succeeded", ["a", {"b": [1, None]}])
    assert completed["metrics"]["tokens"] == {"count": 2}
    assert completed["metrics"]["predict_time"] > 0
    assert completed == server.get(f"/predictions/{completed['id']}").json()
    assert all(event.lines[0].startswith(b"event: ") for event in events)
    assert len({event.id for event in events} - {None}) == len(events)


def test_each_chunk_comes_at_once(server: Server, kind: str) -> None:
    gates = [fresh(), fresh()]
    wait = "await gate" if kind == "async" else "gate"
    code = f"yield 1\n{wait}($first)\nprint('x')\n{wait}($second)\nyield 2"
    with create(server, code, first=gates[0], second=gates[1]) as stream:
        assert next(stream).name == "start"
        assert next(stream).data == {"chunk": 1, "index": 0}  # the model waits until the gate is opened
        let_go(server, gates[0])
        assert next(stream).data == {"data": "x\n", "source": "stdout"}
        let_go(server, gates[1])
        assert next(stream).data == {"chunk": 2, "index": 1}
        assert [event.name for event in stream] == ["completed"]


def test_a_generator_that_never_awaits_streams_too(servers: dict[str, Server]) -> None:
    name = fresh()
    code = "reach($name)\nfor number in range(5):\n    yield number\n    while not (FOLDER / ($name + str(number))).exists(): time.sleep(0.002)"
    with create(servers["async"], code, name=name) as stream:
        assert next(stream).name == "start"
        for number in range(5):
            assert next(stream).data == {"chunk": number, "index": number}
            (servers["async"].folder / f"{name}{number}").touch()
        assert next(stream).name == "completed"


def test_a_failure_keeps_what_came_before_it(server: Server) -> None:
    with create(server, "yield 'part'\nprint('said')\nraise ValueError('bad thing')") as stream:
        events = told(stream)
    assert chunks(events) == ["part"]
    completed = events[-1].data
    assert events[-1].name == "completed"
    assert (completed["status"], completed["error"]) == ("failed", "ValueError: bad thing")
    assert completed["output"] == ["part"]
    logs = "".join(event.data["data"] for event in events if event.name == "log")
    assert logs == completed["logs"]
    assert "said\n" in logs
    assert "Traceback" in logs


TEXTS = [
    "two\nlines\r\nand\rmore\n\n",
    "data: x\n\nevent: completed\n\n",
    "\u2028\x85\x00",
    "日本語 🎉",
    "",
    " ",
]


def test_any_text_stays_within_its_event(server: Server) -> None:
    with create(
        server,
        "import sys\nfor text in $texts:\n    sys.stdout.write(text + '\\n')\n    yield text",
        texts=TEXTS,
    ) as stream:
        events = told(stream)
    assert chunks(events) == TEXTS
    assert "".join(event.data["data"] for event in events if event.name == "log") == "".join(
        text + "\n" for text in TEXTS
    )
    assert all(len(event.lines) == 3 for event in events)


def test_a_request_on_many_lines_comes_back_on_one(server: Server) -> None:
    with streaming(server, body=b'{"input": {\r\n"code"\n:\r"yield 1"\n}\n}') as stream:
        events = told(stream)
    assert events[-1].data["input"] == {"code": "yield 1"}
    assert len(events[-1].lines) == 3


def test_no_chunks_and_large_ones(server: Server) -> None:
    with create(server, "if False:\n    yield 1") as stream:
        events = told(stream)
    assert [event.name for event in events] == ["start", "completed"]
    assert events[-1].data["output"] == []
    with create(server, "for size in (10, 70_000, 3_000_000, 10):\n    yield 'x' * size") as stream:
        events = told(stream)
    assert [len(chunk) for chunk in chunks(events)] == [10, 70_000, 3_000_000, 10]
    assert events[-1].data["output"] == chunks(events)


def test_a_file_is_put_out_as_its_url(servers: dict[str, Server]) -> None:
    code = """
        import cog
        path = FOLDER / "out.txt"
        path.write_text("in a file")
        yield cog.Path(path)
        yield "after"
    """
    with create(servers["sync"], code) as stream:
        events = told(stream)
    assert chunks(events) == ["data:text/plain;base64,aW4gYSBmaWxl", "after"]


def test_put_creates_as_post_does(server: Server) -> None:
    with streaming(server, "PUT", "/predictions/of-my-own", {"input": body("yield 5")}) as stream:
        events = told(stream)
    assert events[0].data == {"id": "of-my-own", "status": "processing"}
    assert events[-1].data["output"] == [5]


def test_events_win_over_prefer(server: Server) -> None:
    headers = {**EVENTS, "prefer": "respond-async"}
    with streaming(server, body={"input": body("yield 5")}, headers=headers) as stream:
        assert (stream.status, chunks(told(stream))) == (200, [5])


# Who gets a stream


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream", "TEXT/EVENT-STREAM", "text/event-stream; charset=utf-8", "text/event-stream, */*",
        "application/json;q=0.5, text/event-stream", "text/event-stream;q=0.3", "*/*;q=0.1,text/event-stream;q=0.2",
        "application/json, text/event-stream", "application/json;q=0, text/event-stream;q=0.001",
    ],
)  # fmt: skip
def test_who_likes_events_best_gets_them(servers: dict[str, Server], accept: str) -> None:
    with streaming(servers["sync"], body={"input": body("yield 1")}, headers={"accept": accept}) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert chunks(told(stream)) == [1]


@pytest.mark.parametrize(
    "accept",
    [
        "application/json", "*/*", "text/*", "", "text/event-stream;q=0", "text/event-stream;q=0.0, */*",
        "application/json, text/event-stream;q=0.5", "application/*, text/event-stream;q=0.9", "text/event-streams",
        "*/*, text/event-stream; q=0.5",
    ],
)  # fmt: skip
def test_all_others_get_json(servers: dict[str, Server], accept: str) -> None:
    answer = servers["sync"].predict(body("yield 1"), headers={"accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["output"] == [1]


def refused(stream: Stream, status: int, text: str) -> None:
    assert stream.status == status
    assert stream.headers["content-type"] == "application/json"
    assert text in stream.response.read().decode()


def test_refusals_are_json(servers: dict[str, Server]) -> None:
    server, name = servers["sync"], fresh()
    with streaming(server, body={"input": {"code": 5}}) as stream:
        refused(stream, 422, '"loc":["body","input","code"]')
    with create(server, "gate($name)\nyield 1", name=name) as running:
        server.wait_file(name)
        with create(server, "yield 1") as stream:
            refused(stream, 409, "busy")
        let_go(server, name)
        assert chunks(told(running)) == [1]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_model_that_does_not_stream_says_so(serve: Any, method: str) -> None:
    server = serve(model("generator"))
    path = "/predictions" if method == "POST" else "/predictions/mine"
    with streaming(server, method, path, {"input": body("yield 1")}) as stream:
        refused(stream, 406, "does not support streaming")
    with streaming(server, method, path, {"input": {"code": 5}}) as stream:
        refused(stream, 406, "does not support streaming")
    assert server.get("/predictions").json()["results"] == []


def test_a_model_that_is_set_up_is_not_ready(serve: Any) -> None:
    source = SYNC + "\n    def setup(self):\n        gate('setup')\n"
    server = serve(source, ready=None)
    server.wait_file("setup")
    with create(server, "yield 1") as stream:
        refused(stream, 503, "not ready")
        assert stream.headers["retry-after"] == "1"
    let_go(server, "setup")
    server.wait_health("READY")
    with create(server, "yield 1") as stream:
        assert chunks(told(stream)) == [1]


# On the wire


def test_the_connection_is_good_for_the_next_request(servers: dict[str, Server]) -> None:
    server = servers["sync"]
    with create(server, "yield 1") as stream:
        told(stream)
        stream.connection.request("GET", "/ready")
        assert stream.connection.getresponse().status == 200


def test_a_request_behind_a_stream_is_answered_after_it(servers: dict[str, Server]) -> None:
    server, name = servers["sync"], fresh()
    running = server.start_async(body("yield 1\ngate($name)\nyield 2", name=name))
    with raw(server) as client:
        client.send(get(f"/predictions/{running}", "Accept: text/event-stream") + get("/ready"))
        while b'"index":0' not in client.left:
            assert client.more()
        let_go(server, name)
        while b'"status":"READY"' not in client.left:
            assert client.more()
        stream, _, rest = client.left.partition(b"\r\n0\r\n\r\n")
        assert stream.count(b"event: completed") == 1
        assert rest.startswith(b"HTTP/1.1 200 OK")


def test_http_1_0_has_events_without_chunks(servers: dict[str, Server]) -> None:
    server = servers["sync"]
    running = server.start_async(body("yield 'a'"))
    with raw(server) as client:
        request = f"GET /predictions/{running} HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        client.send(request)
        while client.more():
            pass
        head, _, content = client.left.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert content.startswith(b"event: ")
    assert content.count(b"event: output\ndata: ") == 1
    assert content.endswith(b"-end\n\n")
