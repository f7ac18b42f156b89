"""Webhooks of a started server, with real receivers."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.receiving import Gate, Incoming, Receiver, Reply, receiving
from support.serving import DEADLINE, Response, Server

MODEL = """
    import os, time
    from typing import Iterator
    from cog import BaseRunner, Secret

    def await_file(name):
        deadline = time.monotonic() + 20
        while not os.path.exists(name):
            if time.monotonic() > deadline:
                raise TimeoutError(name)
            time.sleep(0.005)

    class Runner(BaseRunner):
        def run(self, tag: str = "", key: Secret = None, fail: bool = False, steps: str = "ab") -> Iterator[str]:
            # A letter is a chunk, "!" a print, "." waits for the test to make the file `<tag>-<place>`.
            for place, step in enumerate(steps):
                if step == ".":
                    await_file(f"{tag}-{place}")
                elif step == "!":
                    print("print", place)
                else:
                    yield step
            if fail:
                raise ValueError("as told")
"""

PLAIN = """
    from cog import BaseRunner

    class Runner(BaseRunner):
        def run(self, text: str = "plain") -> str:
            return text
"""

TOKEN = "t0ken-of-the-operator"


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(MODEL, env={"WEBHOOK_AUTH_TOKEN": TOKEN, "COG_LOG_LEVEL": "debug"})


@pytest.fixture(scope="module")
def slow(serve_once: Callable[..., Server]) -> Server:
    """A server that throttles more than any test lasts."""
    return serve_once(MODEL, env={"COG_THROTTLE_RESPONSE_INTERVAL": "300"})


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def step(server: Server, tag: str, place: int) -> None:
    """Let the model go on behind the dot at this place of its steps."""
    (server.folder / f"{tag}-{place}").touch()


def has_ended(got: list[Incoming]) -> bool:
    return bool(got) and got[-1].json()["completed_at"] is not None


def told(got: list[Incoming]) -> list[tuple[str, Any]]:
    return [(one.json()["status"], one.json()["output"]) for one in got]


def by_post(server: Server, body: dict[str, Any], headers: dict[str, str]) -> Response:
    return server.call("POST", "/predictions", body, headers=headers)


def by_post_async(server: Server, body: dict[str, Any], headers: dict[str, str]) -> Response:
    return server.call("POST", "/predictions", body, headers={**headers, "prefer": "respond-async"})


def by_put(server: Server, body: dict[str, Any], headers: dict[str, str]) -> Response:
    return server.call("PUT", f"/predictions/{uuid.uuid4()}", body, headers=headers)


WAYS = pytest.mark.parametrize("way", [by_post, by_post_async, by_put])


@WAYS
@pytest.mark.parametrize(("fail", "status"), [(False, "succeeded"), (True, "failed")])
def test_every_way_of_creating_tells_the_whole_story(
    server: Server, hook: Receiver, way: Callable[..., Response], fail: bool, status: str
) -> None:
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1,b=2",
    }
    given = {"key": "s3cret", "fail": fail, "steps": "a!b"}
    answer = way(server, {"input": given, "webhook": f"{hook.url}/hook?sig=s3cret"}, trace)
    assert answer.status in (200, 202)
    got = hook.wait_until(has_ended)
    last = got[-1].json()
    # The same object everywhere.
    kept = server.get(f"/predictions/{last['id']}").json()
    assert last == kept
    assert answer.status == 202 or answer.json() == kept
    assert list(last) == [
        "id", "input", "output", "logs", "error", "status", "metrics", "created_at", "started_at", "completed_at",
    ]  # fmt: skip
    assert (last["status"], last["output"]) == (status, ["a", "b"])
    assert last["logs"].startswith("print 1\n")
    assert last["error"] == ("ValueError: as told" if fail else None)
    assert last["input"] == {"key": "**********", "fail": fail, "steps": "a!b"}
    assert [one.json()["status"] for one in got[:-1]] == ["processing"] * (len(got) - 1)
    for one in got:
        assert (one.method, one.target) == ("POST", "/hook?sig=s3cret")
        assert one.headers["content-type"] == "application/json"
        assert one.headers["authorization"] == f"Bearer {TOKEN}"
        assert one.headers["user-agent"].startswith("cog/")
        assert re.fullmatch(r"\d{10,}", one.headers["webhook-timestamp"])
        assert {name: one.headers[name] for name in trace} == trace
        assert one.json()["id"] == last["id"]
    assert len({one.headers["webhook-id"] for one in got}) == len(got)


def test_a_plain_result_is_told_as_it_is(serve: Callable[..., Server], hook: Receiver) -> None:
    server = serve(PLAIN)
    server.predict({"text": "scalar"}, fields={"webhook": hook.url})
    got = hook.wait_until(has_ended)
    assert told(got)[-2:] == [("processing", "scalar"), ("succeeded", "scalar")]
    for one in got:
        assert "authorization" not in one.headers
        assert "traceparent" not in one.headers
    server.stop()
    assert len(hook.got) == len(got)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["start"], [("processing", None)]),
        (["output"], [("processing", ["a"]), ("processing", ["a", "b"])]),
        (["logs"], [("processing", ["a"])]),
        (["completed"], [("succeeded", ["a", "b"])]),
        (["start", "completed"], [("processing", None), ("succeeded", ["a", "b"])]),
        ([], []),
    ],
)
def test_the_filter_chooses(
    slow: Server, hook: Receiver, events: list[str], expected: list[tuple[str, Any]]
) -> None:
    tag = "-".join(["filter", *events])
    fields = {"webhook": hook.url, "webhook_events_filter": events}
    started = slow.start_async({"tag": tag, "steps": ".a!.b"}, **fields)
    if "start" in events:
        hook.wait_for(1)  # so it is told before anything else has happened
    step(slow, tag, 0)
    if {"output", "logs"} & {*events}:
        hook.wait_for(1)
    step(slow, tag, 3)
    assert slow.wait_for(started)["status"] == "succeeded"
    # What is told comes in order, so once this other receiver has had its news nothing of the first is to come.
    with receiving() as other:
        slow.predict({}, fields={"webhook": other.url, "webhook_events_filter": ["completed"]})
        other.wait_for(1)
    hook.wait_for(len(expected))
    assert told(hook.got) == expected


def test_output_and_logs_come_every_half_second_with_the_newest_state(server: Server, hook: Receiver) -> None:
    server.start_async({"tag": "throttle", "steps": ".a.bc!d.e"}, webhook=hook.url)
    hook.wait_for(1)
    step(server, "throttle", 0)
    hook.wait_for(2)
    step(server, "throttle", 2)
    got = hook.wait_for(3)
    assert told(got) == [("processing", None), ("processing", ["a"]), ("processing", ["a", "b", "c", "d"])]
    assert got[2].json()["logs"] == "print 5\n"
    assert 0.45 < got[2].at - got[1].at < 2
    step(server, "throttle", 7)
    got = hook.wait_until(has_ended)
    everything = ["a", "b", "c", "d", "e"]
    assert told(got[3:]) == [("processing", everything), ("succeeded", everything)]
    assert got[4].at - got[2].at < 0.45  # the end does not wait


def test_the_interval_can_be_set_and_the_end_flushes_it(slow: Server, hook: Receiver) -> None:
    slow.start_async({"tag": "interval", "steps": ".a.bc!.d"}, webhook=hook.url)
    hook.wait_for(1)
    step(slow, "interval", 0)
    hook.wait_for(2)
    step(slow, "interval", 2)
    slow.wait_log("print 5")
    assert len(hook.got) == 2
    step(slow, "interval", 6)
    got = hook.wait_until(has_ended)
    assert told(got[1:]) == [
        ("processing", ["a"]),
        ("processing", ["a", "b", "c", "d"]),
        ("succeeded", ["a", "b", "c", "d"]),
    ]


def test_every_output_is_told_when_nothing_is_throttled(serve: Callable[..., Server], hook: Receiver) -> None:
    server = serve(MODEL, env={"COG_THROTTLE_RESPONSE_INTERVAL": "0"})
    fields = {"webhook": hook.url, "webhook_events_filter": ["output", "completed"]}
    server.start_async({"tag": "all", "steps": "a.b.c."}, **fields)
    for number, place in enumerate((1, 3, 5)):
        hook.wait_for(number + 1)
        step(server, "all", place)
    assert told(hook.wait_until(has_ended)) == [
        ("processing", ["a"]),
        ("processing", ["a", "b"]),
        ("processing", ["a", "b", "c"]),
        ("succeeded", ["a", "b", "c"]),
    ]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("not a url", "http"),
        ("", "http"),
        ("ftp://127.0.0.1/x", "http"),
        ("http://", "names no host"),
        ("http://127.0.0.1:0/", "port 0"),
        ("http://127.0.0.1:99999/", "cannot be read as a URL"),
        ("http://169.254.169.254/latest", "link-local"),
        ("http://metadata.google.internal/", "cloud metadata"),
        ("http://a b/", "space"),
    ],
)
@WAYS
def test_a_url_that_cannot_work_is_refused(
    server: Server, way: Callable[..., Response], url: str, why: str
) -> None:
    """J30."""
    answer = way(server, {"input": {}, "webhook": url}, {})
    assert answer.status == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", "webhook"]
    assert why in problem["msg"]


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"webhook": 5}, "webhook"),
        ({"webhook_events_filter": ["end"]}, "webhook_events_filter"),
        ({"webhook_events_filter": "completed"}, "webhook_events_filter"),
    ],
)
def test_fields_of_another_shape_are_refused(server: Server, fields: dict[str, Any], loc: str) -> None:
    answer = server.predict({}, fields=fields)
    assert answer.status == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", loc]]


def test_a_refused_request_sends_nothing(server: Server, hook: Receiver) -> None:
    assert server.predict({"fail": "maybe"}, fields={"webhook": hook.url}).status == 422
    server.predict({}, fields={"webhook": f"{hook.url}/after", "webhook_events_filter": ["completed"]})
    assert [one.path for one in hook.wait_for(1)] == ["/after"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404])
def test_a_redirect_is_a_failure(server: Server, status: int) -> None:
    """J30: it is not followed, not tried again, and the prediction is none the worse for it."""
    with receiving(lambda _: Reply(status, headers={"location": "/elsewhere"})) as hook:
        fields = {"webhook": f"{hook.url}/{status}?sig=s3cret", "webhook_events_filter": ["completed"]}
        assert server.predict({}, fields=fields).json()["status"] == "succeeded"
        server.wait_log(f"the receiver answered {status}")
        (line,) = [line for line in server.lines if f"the receiver answered {status}" in json.dumps(line)]
        assert line["level"] == "ERROR"
        assert line["fields"]["url"] == f"{hook.url}/{status}"
        assert line["fields"]["tries"] == 1
        assert [(one.method, one.path) for one in hook.got] == [("POST", f"/{status}")]


def test_the_end_is_tried_again_and_keeps_its_id_and_its_place(server: Server) -> None:
    refusals = iter((503, 429))

    def answer(incoming: Incoming) -> Reply:
        return Reply(next(refusals, 200) if incoming.json()["completed_at"] else 200)

    with receiving(answer) as hook:
        prediction = server.predict({"steps": "ab"}, fields={"webhook": hook.url}).json()
        got = hook.wait_until(lambda got: sum(has_ended([one]) for one in got) == 3)
    assert [has_ended([one]) for one in got] == [False] * (len(got) - 3) + [True] * 3
    assert len({one.headers["webhook-id"] for one in got[-3:]}) == 1
    assert len({one.headers["webhook-id"] for one in got}) == len(got) - 2
    assert [one.json() for one in got[-3:]] == [prediction] * 3
    assert server.get(f"/predictions/{prediction['id']}").json() == prediction


def test_what_is_not_the_end_is_tried_once(server: Server) -> None:
    def answer(incoming: Incoming) -> Reply:
        return Reply(200 if incoming.json()["completed_at"] else 500)

    with receiving(answer) as hook:
        server.predict({"steps": "ab"}, fields={"webhook": hook.url})
        got = hook.wait_until(has_ended)
    assert len({one.headers["webhook-id"] for one in got}) == len(got)


def test_a_slow_receiver_holds_neither_the_prediction_nor_the_model(server: Server) -> None:
    gate = Gate()

    def answer(_: Incoming) -> Reply:
        gate.wait()
        return Reply()

    with receiving(answer) as hook:
        started = server.start_async({"steps": "ab"}, webhook=hook.url)
        hook.wait_for(1)
        assert server.wait_for(started)["output"] == ["a", "b"]
        assert server.health()["status"] == "READY"
        assert server.predict({"steps": "c"}).json()["output"] == ["c"]
        assert len(hook.got) == 1
        gate.open()
        got = hook.wait_until(has_ended)
    assert told(got)[-1] == ("succeeded", ["a", "b"])


def test_a_cancelled_prediction_is_told(server: Server, hook: Receiver) -> None:
    started = server.start_async({"tag": "cancel", "steps": "a."}, webhook=hook.url)
    hook.wait_until(lambda got: told(got)[-1:] == [("processing", ["a"])])
    server.call("POST", f"/predictions/{started}/cancel")
    got = hook.wait_until(has_ended)
    assert told(got)[-1] == ("canceled", ["a"])
    assert got[-1].json() == server.get(f"/predictions/{started}").json()


def test_the_second_put_of_a_kept_prediction_sends_nothing(server: Server, hook: Receiver) -> None:
    body = {"input": {}, "webhook": hook.url, "webhook_events_filter": ["completed"]}
    first = server.call("PUT", "/predictions/twice", body)
    hook.wait_for(1)
    again = server.call("PUT", "/predictions/twice", body | {"webhook": f"{hook.url}/again"})
    assert (again.status, again.json()) == (200, first.json())
    server.predict({}, fields={"webhook": f"{hook.url}/after", "webhook_events_filter": ["completed"]})
    assert [one.path for one in hook.wait_for(2)] == ["/", "/after"]


def test_what_is_pending_at_sigterm_is_delivered_before_the_end(serve: Callable[..., Server]) -> None:
    """J9: of a prediction that still ran, and of one whose receiver was down at that moment."""
    down, tries = Gate(), itertools.count(1)

    def answer(incoming: Incoming) -> Reply:
        if incoming.path == "/ended" and next(tries) == 1:
            down.wait()
            return Reply(503)
        return Reply()

    with receiving(answer) as hook:
        server = serve(MODEL)
        fields = {"webhook_events_filter": ["completed"]}
        server.predict({"steps": "x"}, fields={"webhook": f"{hook.url}/ended", **fields})
        hook.wait_for(1)
        server.start_async({"tag": "term", "steps": "a.b"}, webhook=f"{hook.url}/running", **fields)
        server.process.terminate()
        server.wait_log("SIGTERM")
        assert server.predict({}).status == 503
        step(server, "term", 1)
        hook.wait_until(lambda got: got[-1].path == "/running")
        down.open()
        assert server.process.wait(DEADLINE) == 0
    assert [one.path for one in hook.got] == ["/ended", "/running", "/ended"]
    assert told(hook.got[1:]) == [("succeeded", ["a", "b"]), ("succeeded", ["x"])]


def test_the_token_and_signatures_are_in_no_log_and_no_answer(server: Server, hook: Receiver) -> None:
    with receiving(lambda _: Reply(410)) as broken:
        server.predict({"key": "s3cret"}, fields={"webhook": f"{broken.url}/a?sig=s3cret"})
        broken.wait_until(has_ended)
    server.predict({"key": "s3cret", "fail": True}, fields={"webhook": f"{hook.url}/b?sig=s3cret"})
    hook.wait_until(has_ended)
    server.wait_log("A webhook was not delivered")
    for text in (server.log, server.get("/predictions").body.decode(), hook.got[-1].body.decode()):
        assert TOKEN not in text
        assert "s3cret" not in text
