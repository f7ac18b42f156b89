"""What is refused, in which order, and with which words: every status of a create and every kind of body."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from support.serving import Response, Server
from support.steps import body, fresh, let_go, model
from support.streams import streaming

MAX_BODY = 200_000
JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}
EVENTS = {"accept": "text/event-stream"}
ASYNC = {"prefer": "respond-async"}
BAD_INPUT = {"input": {"code": 5}}
LARGE = b"x" * (MAX_BODY + 1)

STARTING = """
    import time
    from pathlib import Path
    from cog import BaseRunner

    class Runner(BaseRunner):
        def setup(self):
            deadline = time.monotonic() + 20
            while not Path("go").exists() and time.monotonic() < deadline:
                time.sleep(0.005)

        def run(self, code: str = "") -> str:
            return code
"""


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"), "--max-body", str(MAX_BODY))
    return started


@pytest.fixture(scope="module")
def starting(serve_once: Any) -> Iterator[Server]:
    started: Server = serve_once(STARTING, ready=None)
    yield started
    (started.folder / "go").touch()
    started.wait_log("READY")


@pytest.fixture
def busy(server: Server) -> Iterator[str]:
    """The id of a prediction that holds the server's only slot."""
    gate = fresh()
    running = server.start_async(body("gate($gate)", gate=gate))
    server.wait_file(gate)
    yield running
    let_go(server, gate)
    server.wait_for(running)


def post(server: Server, raw: bytes, headers: dict[str, str] | None = None) -> Response:
    return server.call("POST", "/predictions", body=raw, headers=headers)


def refused(answer: Response, status: int, text: str) -> Any:
    """The body of a refusal, once its status, its shape and its words are right."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    shown = answer.json()
    assert shown["status"] == "failed"
    assert text in shown["error"]
    assert ("detail" in shown) == (status == 422)
    return shown


# The order of checks: a request that is wrong in both ways gets the earlier one.


@pytest.mark.parametrize("path", ["/nowhere", "/predictions/", "/health-check/"])
def test_404_comes_before_everything(server: Server, path: str) -> None:
    refused(server.call("POST", path, body=LARGE, headers=TEXT), 404, "")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/predictions", "GET, HEAD, POST"),
        ("PUT", "/predictions", "GET, HEAD, POST"),
        ("POST", "/predictions/x", "GET, HEAD, PUT"),
        ("PUT", "/predictions/x/cancel", "POST"),
        ("GET", "/predictions/x/cancel", "POST"),
        ("OPTIONS", "/", "GET, HEAD"),
    ],
)
def test_405_comes_before_413_and_names_every_method(
    server: Server, method: str, path: str, allowed: str
) -> None:
    answer = server.call(method, path, body=LARGE, headers=TEXT)
    refused(answer, 405, f"does not take {method}")
    assert answer.headers["allow"] == allowed


def test_413_comes_before_415(server: Server) -> None:
    refused(post(server, LARGE, TEXT), 413, "larger than 200,000 bytes")


def test_413_comes_before_415_in_chunks(server: Server) -> None:
    refused(chunked(server, [LARGE], "text/plain"), 413, "larger than 200,000 bytes")


def test_415_comes_before_400(server: Server) -> None:
    refused(post(server, b"{", TEXT), 415, "application/json")


def test_400_comes_before_422(server: Server) -> None:
    refused(server.call("PUT", "/predictions/a%20b", body=b"{", headers=JSON), 400, "not JSON")


@pytest.mark.parametrize("wrong", [{"context": None}, {"id": "other"}])
def test_422_of_the_shape_comes_before_attaching(server: Server, busy: str, wrong: dict[str, Any]) -> None:
    refused(server.call("PUT", f"/predictions/{busy}", wrong), 422, next(iter(wrong)))


@pytest.mark.parametrize("wrong", [BAD_INPUT, {"webhook": "not a url"}])
def test_attaching_comes_before_406_422_and_409(server: Server, busy: str, wrong: dict[str, Any]) -> None:
    answer = server.call("PUT", f"/predictions/{busy}", wrong)
    assert (answer.status, answer.json()["id"]) == (202, busy)
    with streaming(server, "PUT", f"/predictions/{busy}", wrong) as events:
        assert next(events).data == {"id": busy, "status": "processing"}


def test_503_comes_before_406(starting: Server) -> None:
    answer = starting.predict(headers=EVENTS)
    refused(answer, 503, "not ready")
    assert answer.headers["retry-after"] == "1"


def test_503_comes_before_422_of_the_input(starting: Server) -> None:
    refused(starting.call("POST", "/predictions", BAD_INPUT), 503, "not ready")


def test_422_of_the_shape_comes_before_503(starting: Server) -> None:
    refused(starting.call("POST", "/predictions", {"context": 1}), 422, "context")


def test_406_comes_before_422_of_the_input(server: Server) -> None:
    refused(server.call("POST", "/predictions", BAD_INPUT, headers=EVENTS), 406, "streaming")


@pytest.mark.parametrize("accept", ["text/event-stream;q=0.5", "application/json, text/event-stream"])
def test_406_comes_before_409(server: Server, busy: str, accept: str) -> None:
    refused(server.predict(headers={"accept": accept}), 406, "streaming")


@pytest.mark.parametrize("accept", ["*/*", "text/*", "application/json"])
def test_other_accepts_get_json(server: Server, accept: str) -> None:
    assert server.predict(headers={"accept": accept}).status == 200


@pytest.mark.parametrize("wrong", [BAD_INPUT, {"webhook": "not a url"}])
def test_422_comes_before_409(server: Server, busy: str, wrong: dict[str, Any]) -> None:
    refused(
        server.call("POST", "/predictions", wrong), 422, next(iter(wrong)) if "webhook" in wrong else "code"
    )


def test_409_is_the_last(server: Server, busy: str) -> None:
    refused(server.predict(), 409, "busy")


def test_a_valid_id_of_the_path_is_in_the_refusal(server: Server) -> None:
    shown = refused(server.call("PUT", "/predictions/mine", BAD_INPUT), 422, "code")
    assert shown["id"] == "mine"


# Bodies


def chunked(server: Server, parts: list[bytes], media_type: str = "application/json") -> Response:
    return server.call(
        "POST", "/predictions", body=_frames(parts),
        headers={"content-type": media_type, "transfer-encoding": "chunked"},
    )  # fmt: skip


def _frames(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


def test_no_body_and_no_type_is_an_empty_request(server: Server) -> None:
    answer = server.call("POST", "/predictions")
    assert (answer.status, answer.json()["output"]) == (200, None)
    assert answer.json()["input"] == {}


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;charset=latin-1",
        "application/vnd.api+json",
    ],
)
def test_bodies_that_are_read_as_json(server: Server, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    answer = post(server, json.dumps({"input": {"code": "return 'ä'"}}, ensure_ascii=False).encode(), headers)
    assert (answer.status, answer.json()["output"]) == (200, "ä")


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json", "", "json"],
)
def test_other_types_are_415(server: Server, media_type: str) -> None:
    refused(post(server, b"{}", {"content-type": media_type}), 415, "application/json")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"input": {}',
        b'\xef\xbb\xbf{"input": {}}',
        b'{"input": {}} x',
        b'{"input": {}}{}',
        b'{"input": {"code": NaN}}',
        b'{"input": {"other": Infinity}}',
        b'{"input": {"other": -Infinity}}',
        b'{"input": {"code": "\xff"}}',
        b'{"other": "\xff"}',
        b'{"input": {"code": "\xed\xa0\x80"}}',
        b"{'input': {}}",
        b'{"input": {},}',
        b'{"input": {"code": "a\nb"}}',
        b'{"input": {"code": 01}}',
    ],
)
def test_what_is_not_json_is_400(server: Server, raw: bytes) -> None:
    refused(post(server, raw, JSON), 400, "not JSON")


@pytest.mark.parametrize("depth", [128, 200, 990, 20_000])
@pytest.mark.parametrize("field", ["input", "other"])
def test_a_body_nested_too_deep_is_400(server: Server, depth: int, field: str) -> None:
    raw = b'{"%s":%s%s}' % (field.encode(), b"[" * (depth - 1), b"]" * (depth - 1))
    refused(post(server, raw, JSON), 400, "nested")


def test_a_body_nested_as_deep_as_it_may_be_is_read(server: Server) -> None:
    deep = b"[" * 125 + b"]" * 125
    answer = post(server, b'{"input":{"code":"return 1","other":%s}}' % deep)
    assert (answer.status, answer.json()["output"]) == (200, 1)


def test_brackets_in_a_text_are_no_depth(server: Server) -> None:
    text = '"[{\\' * 300
    answer = server.predict(body("return $value", value=text))
    assert (answer.status, answer.json()["output"]) == (200, text)


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"x"', b"5", b'["i",{},{},null,[]]'])
def test_json_that_is_no_object_is_422(server: Server, raw: bytes) -> None:
    shown = refused(post(server, raw, JSON), 422, "JSON object")
    assert [problem["loc"] for problem in shown["detail"]] == [["body"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 5),
        ("id", ["a"]),
        ("webhook", 5),
        ("context", None),
        ("context", []),
        ("context", {"a": 1}),
        ("context", {"a": None}),
        ("webhook_events_filter", None),
        ("webhook_events_filter", ["start", "end"]),
        ("webhook_events_filter", "start"),
        ("webhook_events_filter", [1]),
    ],
)
def test_a_field_of_the_wrong_type_is_422_and_named(server: Server, field: str, value: object) -> None:
    shown = refused(server.call("POST", "/predictions", {field: value}), 422, field)
    assert [problem["loc"] for problem in shown["detail"]] == [["body", field]]
    assert {problem["type"] for problem in shown["detail"]} == {"value_error"}


def test_all_wrong_fields_are_named_at_once(server: Server) -> None:
    wrong = {"id": 5, "context": 1, "webhook": [], "webhook_events_filter": ["x"], "unknown": object.__name__}
    shown = refused(server.call("POST", "/predictions", wrong), 422, "")
    named = {problem["loc"][1] for problem in shown["detail"]}
    assert named == {"id", "context", "webhook", "webhook_events_filter"}


@pytest.mark.parametrize("value", [None, {}])
def test_null_as_input_is_an_empty_one(server: Server, value: object) -> None:
    answer = server.call("POST", "/predictions", {"input": value, "id": None, "webhook": None})
    assert (answer.status, answer.json()["input"]) == (200, {})


@pytest.mark.parametrize("value", [[], "text", 5, True])
def test_an_input_that_is_no_object_is_422(server: Server, value: object) -> None:
    shown = refused(server.call("POST", "/predictions", {"input": value}), 422, "")
    assert [problem["loc"][:2] for problem in shown["detail"]] == [["body", "input"]]


def test_unknown_fields_and_unknown_inputs_are_dropped(server: Server) -> None:
    sent = {"input": {"code": "return 1", "stranger": 5}, "created_at": "x", "output_file_prefix": "y"}
    answer = server.call("POST", "/predictions", sent)
    assert (answer.status, answer.json()["output"]) == (200, 1)
    assert answer.json()["input"] == {"code": "return 1"}


def test_the_context_reaches_the_model(server: Server) -> None:
    code = "from cog import current_scope\nreturn dict(current_scope().context)"
    context = {"a": "1", "trace.b": "ä"}
    assert server.predict(body(code), fields={"context": context}).json()["output"] == context
    assert server.predict(body(code)).json()["output"] == {}


@pytest.mark.parametrize("parts", [[b"{}"], [b'{"inp', b'ut": {"code": "return ', b'3"}}'], []])
def test_chunked_bodies_are_read(server: Server, parts: list[bytes]) -> None:
    answer = chunked(server, parts)
    if parts:
        assert answer.status == 200
        assert answer.json()["output"] == (3 if len(parts) == 3 else None)
    else:
        refused(answer, 400, "not JSON")


def test_what_is_not_http_is_400(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"HELLO\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "failed"


# Addresses


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/predictions", "/predictions/x", "/", "/health-check"])
def test_other_methods_are_405(server: Server, method: str, path: str) -> None:
    refused(server.call(method, path), 405, f"does not take {method}")


@pytest.mark.parametrize("path", ["/", "/health-check", "/openapi.json", "/predictions", "/ready", "/live"])
def test_head_works_wherever_get_does(server: Server, path: str) -> None:
    head, full = server.call("HEAD", path), server.get(path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == full.headers["content-type"]
    if path != "/predictions":  # that one changes in between
        assert head.headers["content-length"] == full.headers["content-length"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", ["/predictions/", "/health-check/", "/shutdown/", "/trainings"])
def test_a_slash_too_much_is_404(server: Server, method: str, path: str) -> None:
    refused(server.call(method, path), 404, "there is nothing at")
