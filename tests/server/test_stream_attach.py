"""Who comes later: to a prediction that runs, to one that has ended, and back after the connection broke."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from support.serving import Server, until
from support.sockets import port_of
from support.steps import body, fresh, let_go, model
from support.streams import EVENTS, SYNC, Event, Stream, chunks, streaming, told


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    found: Server = serve_once(SYNC)
    return found


@pytest.fixture(scope="module")
def plain(serve_once: Any) -> Server:
    """A model that does not stream, and yields nothing."""
    found: Server = serve_once(model("sync"))
    return found


@pytest.fixture(scope="module")
def short(serve_once: Any) -> Server:
    """One that tells four events anew."""
    found: Server = serve_once(SYNC, env={"COG_STREAM_HISTORY_CAPACITY": "4"})
    return found


def attach(
    server: Server, prediction_id: str, last_id: str | None = None
) -> contextlib.AbstractContextManager[Stream]:
    headers = EVENTS if last_id is None else {**EVENTS, "last-event-id": last_id}
    return streaming(server, "GET", f"/predictions/{prediction_id}", headers=headers)


@contextlib.contextmanager
def running(server: Server, code: str) -> Iterator[tuple[str, str]]:
    """A prediction that has come to its `gate($name)`: its id, and the gate's name; at the end it is let go."""
    name = fresh()
    prediction_id = server.start_async(body(code, name=name))
    server.wait_file(name)
    try:
        yield prediction_id, name
    finally:
        let_go(server, name)
        server.wait_for(prediction_id)


def put_out(server: Server, prediction_id: str, count: int) -> None:
    """Return when the server has got so many chunks from the model."""
    until(lambda: len(server.get(f"/predictions/{prediction_id}").json()["output"] or ()), count.__eq__)


CODE = "print('one')\nyield 'a'\ncurrent_scope().record_metric('m', 1)\nyield 'b'\ngate($name)\nprint('two')\nyield 'c'"
NAMES = ["start", "log", "output", "metric", "output", "log", "output", "completed"]


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("GET", "/predictions/{}", None),
        ("PUT", "/predictions/{}", {}),
        ("POST", "/predictions", {"id": "{}"}),
    ],
)
def test_all_who_attach_are_told_the_same(
    server: Server, method: str, path: str, fields: dict[str, str] | None
) -> None:
    name = fresh()
    with streaming(server, body={"input": body(CODE, name=name)}) as first:
        begun = [next(first) for _ in range(5)]
        prediction_id = begun[0].data["id"]
        sent = None if fields is None else {"input": {}, **dict.fromkeys(fields, prediction_id)}
        with streaming(server, method, path.format(prediction_id), sent) as second:
            caught_up = [next(second) for _ in range(5)]
            let_go(server, name)
            late = caught_up + told(second)
        every = begun + told(first)
    assert [event.name for event in every] == NAMES
    assert [event.lines for event in late] == [event.lines for event in every]
    assert server.get("/predictions").json()["results"][0]["id"] == prediction_id


def test_meanwhile_it_shows_its_chunks_so_far(server: Server) -> None:
    with running(server, CODE) as (prediction_id, _):
        put_out(server, prediction_id, 2)
        for answer in (
            server.get(f"/predictions/{prediction_id}"),
            server.call("PUT", f"/predictions/{prediction_id}", {}),
        ):
            shown = answer.json()
            assert (shown["status"], shown["output"], shown["logs"]) == ("processing", ["a", "b"], "one\n")
            assert shown["metrics"] == {"m": 1}


@pytest.mark.parametrize("had", range(len(NAMES)))
def test_who_comes_back_is_told_what_is_missing(server: Server, had: int) -> None:
    """Every place in the stream, whether the prediction still runs or has ended meanwhile."""
    with running(server, CODE) as (prediction_id, name), attach(server, prediction_id) as stream:
        every = [next(stream) for _ in range(5)]
        if had < 5:
            with attach(server, prediction_id, every[had].id) as again:
                rest = [next(again) for _ in range(4 - had)]
                assert [event.lines for event in every[had + 1 :]] == [event.lines for event in rest]
        let_go(server, name)
        every += told(stream)
    with attach(server, prediction_id, every[had].id) as again:
        if had == len(NAMES) - 1:
            assert (again.status, again.response.read()) == (204, b"")  # a browser comes back no more
            return
        rest = told(again)
    assert outputs(rest) == outputs(every[had + 1 :])
    assert text(rest) == text(every[had + 1 :])
    assert rest[-1].lines == every[-1].lines
    assert "start" not in [event.name for event in rest]


def outputs(events: list[Event]) -> list[Any]:
    return [event.data for event in events if event.name == "output"]


def text(events: list[Event]) -> str:
    return "".join(event.data["data"] for event in events if event.name == "log")


@pytest.mark.parametrize("last_id", ["", "nonsense", "0-1-0-0", "zz-end", "-1", "1-2-3-4" * 99, "0-end"])
def test_an_id_of_elsewhere_means_from_the_start(server: Server, last_id: str) -> None:
    with running(server, CODE) as (prediction_id, _), attach(server, prediction_id, last_id) as stream:
        assert [next(stream).name for _ in range(5)] == NAMES[:5]
    with attach(server, prediction_id, last_id) as stream:
        assert next(event.name for event in stream) == "start"


def test_an_id_of_an_earlier_run_means_from_the_start(server: Server) -> None:
    with streaming(
        server, "PUT", "/predictions/twice", {"input": body("yield 1\nraise ValueError")}
    ) as stream:
        first = told(stream)
    headers = {**EVENTS, "last-event-id": str(first[1].id)}
    with streaming(server, "PUT", "/predictions/twice", {"input": body("yield 2")}, headers) as stream:
        assert chunks(told(stream)) == [2]
    with attach(server, "twice", first[1].id) as stream:
        assert chunks(told(stream)) == [2]
    with attach(server, "twice", first[-1].id) as stream:
        assert chunks(told(stream)) == [2]


# Ended ones


def test_an_ended_one_is_told_from_its_record(server: Server) -> None:
    prediction_id = server.start_async(body("print('x')\nfor n in range(3000): yield n"))
    shown = server.wait_for(prediction_id)
    for method in ("GET", "PUT"):
        with streaming(server, method, f"/predictions/{prediction_id}") as stream:
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
            events = told(stream)
        assert [event.name for event in events] == ["start", "log", *["output"] * 3000, "completed"]
        assert chunks(events) == list(range(3000))
        assert (events[1].data["data"], events[-1].data) == ("x\n", shown)


def test_a_large_one(server: Server) -> None:
    prediction_id = server.start_async(
        body("for _ in range(3): print('y' * 400_000)\nyield 'x' * 3_000_000\nyield []")
    )
    server.wait_for(prediction_id)
    with attach(server, prediction_id) as stream:
        events = told(stream)
    assert [event.name for event in events] == ["start", "log", "output", "output", "completed"]
    assert chunks(events) == ["x" * 3_000_000, []]


def test_an_output_that_is_nested_deep_is_at_least_in_the_end(server: Server) -> None:
    code = "value = []\nfor _ in range(900): value = [value]\nyield value"
    prediction_id = server.start_async(body(code))
    shown = server.wait_for(prediction_id)
    assert shown["status"] == "succeeded"
    with attach(server, prediction_id) as stream:
        assert told(stream)[-1].data == shown


def test_failed_and_canceled_ones(server: Server) -> None:
    failed = server.start_async(body("yield 1\nraise ValueError('bad')"))
    server.wait_for(failed)
    with attach(server, failed) as stream:
        events = told(stream)
    assert (chunks(events), events[-1].data["status"]) == ([1], "failed")
    assert "ValueError: bad" in text(events)
    with running(server, CODE) as (canceled, _), attach(server, canceled) as stream:
        server.call("POST", f"/predictions/{canceled}/cancel")
        assert stream.until("completed").data["status"] == "canceled"


def test_one_that_nobody_knows(server: Server) -> None:
    with attach(server, "unknown") as stream:
        assert stream.status == 404
        assert stream.headers["content-type"] == "application/json"


def test_head_has_no_body(server: Server) -> None:
    with running(server, CODE) as (prediction_id, _):
        heads = [server.call("HEAD", f"/predictions/{prediction_id}", headers=EVENTS)]
    heads.append(server.call("HEAD", f"/predictions/{prediction_id}", headers=EVENTS))
    for answer in heads:
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"] == "text/event-stream"


# Models that do not stream


def test_a_model_that_does_not_stream_is_told_of_too(plain: Server) -> None:
    code = "print('x')\ngate($name)\nreturn [1, 2]"
    with running(plain, code) as (prediction_id, name), attach(plain, prediction_id) as stream:
        assert [next(stream).name, next(stream).name] == ["start", "log"]
        let_go(plain, name)
        live = told(stream)
    assert live[0].data == {"chunk": [1, 2], "index": 0}
    assert live[1].data["output"] == [1, 2]
    with attach(plain, prediction_id) as stream:
        kept = told(stream)
    assert [event.name for event in kept] == ["start", "log", "output", "completed"]
    assert [event.data for event in kept[2:]] == [event.data for event in live]
    with attach(plain, prediction_id, live[0].id) as stream:
        assert [event.name for event in stream] == ["completed"]


def test_nothing_is_put_out_for_none(plain: Server) -> None:
    prediction_id = plain.start_async(body("return None"))
    plain.wait_for(prediction_id)
    with attach(plain, prediction_id) as stream:
        assert [event.name for event in stream] == ["start", "completed"]


def test_attaching_comes_before_406(plain: Server) -> None:
    wrong = {"input": {"code": 5}}
    with (
        running(plain, "gate($name)") as (prediction_id, _),
        streaming(plain, "PUT", f"/predictions/{prediction_id}", wrong) as stream,
    ):
        assert next(stream).data == {"id": prediction_id, "status": "processing"}


# What is told anew has a limit


def test_a_replay_that_lacks_its_beginning_is_an_error(short: Server) -> None:
    code = "for n in range(3): yield n\ngate($name)"  # with the start four events
    with running(short, code) as (prediction_id, _), attach(short, prediction_id) as stream:
        assert [next(stream).name for _ in range(4)] == ["start", "output", "output", "output"]
    with running(short, "for n in range(9): yield n\ngate($name)\nyield 9") as (prediction_id, name):
        put_out(short, prediction_id, 9)
        with attach(short, prediction_id) as stream:
            (error,) = told(stream)
        assert error.name == "error"
        assert error.data == {"error": "SSE stream replay truncated; events were dropped", "skipped": 6}
        assert error.id is None
        let_go(short, name)
        assert short.wait_for(prediction_id)["output"] == list(range(10))


def test_who_is_there_from_the_start_gets_everything(short: Server) -> None:
    name = fresh()
    code = "for n in range(500): yield n\ngate($name)\nfor n in range(500, 2000): yield n"
    with streaming(short, body={"input": body(code, name=name)}) as stream:
        begun = [next(stream) for _ in range(501)]
        with attach(short, begun[0].data["id"], begun[100].id) as again:
            (error,) = told(again)
            assert error.data["skipped"] == 501 - 4 - 101
        let_go(short, name)
        assert chunks(begun + told(stream)) == list(range(2000))


def test_without_a_history_all_is_live(serve: Any) -> None:
    server = serve(SYNC, env={"COG_STREAM_HISTORY_CAPACITY": "0"})
    name = fresh()
    with streaming(server, body={"input": body(CODE, name=name)}) as first:
        begun = [next(first) for _ in range(5)]
        with (
            attach(server, begun[0].data["id"]) as late,
            attach(server, begun[0].data["id"], begun[2].id) as back,
        ):
            assert told(back)[0].data["skipped"] == 2
            let_go(server, name)
            assert [event.lines for event in told(first)] == [event.lines for event in told(late)]
    with streaming(server, "GET", f"/predictions/{begun[0].data['id']}") as kept:
        assert chunks(told(kept)) == ["a", "b", "c"]


@pytest.mark.parametrize("value", ["many", "-1", "1.5"])
def test_an_unusable_capacity_is_a_warning(serve: Any, value: str) -> None:
    server = serve(SYNC, env={"COG_STREAM_HISTORY_CAPACITY": value})
    server.wait_log("1024 is used")
    assert any("COG_STREAM_HISTORY_CAPACITY" in said and "1024 is used" in said for said in server.messages())


@pytest.mark.slow
def test_1024_may_listen(server: Server) -> None:
    with running(server, CODE) as (prediction_id, name), contextlib.ExitStack() as stack:
        clients = []
        for _ in range(1025):
            client = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)
            stack.callback(client.close)
            client.request("GET", f"/predictions/{prediction_id}", headers=EVENTS)
            clients.append(client)
        answers = [client.getresponse() for client in clients]
        refused = [answer for answer in answers if answer.status != 200]
        (refusal,) = refused
        assert refusal.status == 429
        assert b"Too many stream subscribers" in refusal.read()
        clients[answers.index(refused[0]) - 1].close()
        answers.remove(refusal)

        def again() -> int:
            with attach(server, prediction_id) as stream:
                return stream.status

        until(again, lambda status: status == 200)
        let_go(server, name)
        ends = [answer.read() for answer in answers if not answer.isclosed()]
    assert len(ends) == 1023
    assert {(end.count(b"event: output"), end[-6:]) for end in ends} == {(3, b"-end\n\n")}
