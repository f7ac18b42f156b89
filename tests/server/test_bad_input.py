"""What no client should send: any bytes, headers and ids. The server answers each in its own shape and goes on."""

from __future__ import annotations

import gzip
import json
import random
import re
import socket
import threading
import time
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.serving import Response, Server, until
from support.serving import request as send

MODEL = """
    from typing import Any, List, Literal, Optional, Union
    from cog import BaseRunner, Input, Path, Secret

    class Runner(BaseRunner):
        def run(
            self,
            text: str = "",
            number: int = 0,
            ratio: float = 0.0,
            flag: bool = False,
            maybe: Optional[int] = None,
            few: int = Input(default=1, ge=1, le=10),
            short: str = Input(default="", max_length=3),
            choice: str = Input(default="a", choices=["a", "b"]),
            numbers: List[int] = [],
            either: Union[str, int] = "",
            mapping: dict = {},
            anything: Any = None,
            photo: Path = None,
            key: Secret = None,
        ) -> Any:
            given = dict(locals())
            del given["self"], given["photo"], given["key"]
            return given
"""
DEFAULTS: dict[str, Any] = {
    "text": "", "number": 0, "ratio": 0.0, "flag": False, "maybe": None, "few": 1, "short": "", "choice": "a",
    "numbers": [], "either": "", "mapping": {}, "anything": None,
}  # fmt: skip
EXAMPLES = 80
MANY = 2500


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(MODEL, "--max-body", str(100 * 1024 * 1024))
    return started


@pytest.fixture(scope="module")
def quiet(serve_once: Any) -> Server:
    """The same inputs, and nothing comes back: what is measured with it is the server."""
    head = MODEL.partition("given = dict")[0]
    started: Server = serve_once(head + "return 1\n")
    return started


@pytest.fixture(autouse=True)
def _well_afterwards(server: Server) -> Any:
    """After every test the server is as it was: the next prediction is right, and the log has no error."""
    yield
    answer = until(lambda: server.predict({"number": 5}), lambda answer: answer.status != 409)
    assert (answer.status, answer.json()["output"]) == (200, DEFAULTS | {"number": 5})
    assert not [line for line in server.lines if line["level"] == "ERROR"]
    assert "Traceback" not in server.log


def judged(answer: Response) -> Any:
    """The body of an answer of ours: no error of the server, and in one of the two shapes."""
    assert answer.headers["content-type"] == "application/json", answer
    shown = answer.json()
    if answer.status in (200, 202):
        assert shown["status"] in ("succeeded", "processing", "starting", "canceled"), shown
        return shown
    assert 400 <= answer.status < 500, answer
    assert (shown["status"], type(shown["error"])) == ("failed", str), shown
    assert shown["error"].strip()
    assert ("detail" in shown) == (answer.status == 422), shown
    for problem in shown.get("detail", ()):
        assert problem["loc"][0] in ("body", "path")
        assert problem["msg"]
        assert problem["type"] in ("value_error", "value_error.missing")
    return shown


def post(server: Server, raw: bytes, headers: dict[str, Any] | None = None) -> Response:
    return server.call("POST", "/predictions", body=raw, headers=headers)


# Bodies

INTEGERS = st.integers(-5, 12) | st.integers() | st.sampled_from([2**63, -(2**63) - 1, 10**30, 10**400])
FLOATS = st.sampled_from([-0.0, 1.0, 2.5, 1e300, 5e-324]) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = (
    st.sampled_from(["", "a", "b", "abcd", "é", "😀", "\0", '\n\t"\\', "data:,x", "[{", "x" * 5000])
    | st.text()
)
LEAVES = (
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS.filter(lambda text: text.isascii() or _whole(text))
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS.filter(lambda text: _whole(text)), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from([*DEFAULTS, "photo", "key", "stranger", "", "TEXT", "text "])
INPUTS = st.dictionaries(NAMES, VALUES, max_size=6)


def _whole(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


def fits(name: str, value: Any) -> object:
    """What the server should accept, said as plainly as can be."""
    integer = (type(value) is int) or (type(value) is float and value == int(value))
    match name:
        case "text":
            return isinstance(value, str)
        case "number":
            return integer
        case "ratio":
            return type(value) is float or (type(value) is int and abs(value) < 1.7e308)
        case "flag":
            return isinstance(value, bool)
        case "maybe":
            return value is None or integer
        case "few":
            return integer and 1 <= value <= 10
        case "short":
            return isinstance(value, str) and len(value) <= 3
        case "choice":
            return value == "a" or value == "b"
        case "numbers":
            return isinstance(value, list) and all(fits("number", item) for item in value)
        case "either":
            return isinstance(value, str) or integer
        case "mapping":
            return isinstance(value, dict)
        case "photo":
            return value is None or (isinstance(value, str) and value.startswith("data:,"))
        case "key":
            return value is None or isinstance(value, str)
        case _:
            return True


def received(name: str, value: Any) -> Any:
    """What the model should get for a value that fits."""
    if name in ("number", "maybe", "few", "either") and type(value) is float:
        return int(value)
    if name == "ratio":
        return float(value)
    if name == "numbers":
        return [int(item) for item in value]
    return value


def check_agreement(server: Server, value: dict[str, Any]) -> None:
    answer = post(server, json.dumps({"input": value}).encode())
    shown = judged(answer)
    wrong = {name for name, item in value.items() if not fits(name, item)}
    if wrong:
        assert answer.status == 422, (wrong, shown)
        assert {tuple(problem["loc"][:2]) for problem in shown["detail"]} == {("body", "input")}
        assert {problem["loc"][2] for problem in shown["detail"]} == wrong
        return
    assert answer.status == 200, shown
    expected = {name: received(name, item) for name, item in value.items() if name in DEFAULTS}
    assert shown["output"] == DEFAULTS | expected
    assert {name: type(item) for name, item in shown["output"].items()} == {
        name: type(item) for name, item in (DEFAULTS | expected).items()
    }


@settings(max_examples=EXAMPLES * 2)
@given(INPUTS)
@example({"number": 2.0, "numbers": [1.0, 2], "few": 10.0, "either": 5})
@example({"number": True, "ratio": True, "flag": 1, "few": 11, "short": "abcd", "choice": 1})
def test_what_is_accepted_is_what_a_plain_reading_accepts(server: Server, value: dict[str, Any]) -> None:
    check_agreement(server, value)


FRAGMENTS: list[bytes] = [
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b'"', b"\\", rb"\ud800", rb"\udc00\ud800", rb"\u0000",
    rb"\x41", b"{", b"}", b"[", b"]", b"[" * 130, b"]" * 130, b'{"a":' * 200, b",", b":", b",,", b"NaN", b"-Infinity",
    b"1e999", b"-1e999", b"1e-999", b"01", b"1.", b".5", b"+1", b"-", b"0x10", b"1_0", b"7" * 5000, b"9" * 400 + b".5",
    b"true", b"nul", b"'", b"//", b"/**/", b"\n", b"\t", b"\x0b", b'"input":{},', b'"id":"x",', b'"id":5,', b'"id":"..",',
    b'"context":null,', b'"webhook":"nowhere",', b'"webhook":"http://169.254.169.254/",', b'"webhook_events_filter":["x"],',
    b'"number":1e2,', b'"number":null,', b'"photo":"data:;base64,!",', b'"photo":"data:,%zz",', b'"k\xc3\xa9y":1,',
    b'"' + b"k" * 9000 + b'":1,', b'"key":["hunter2"],', b'"a":1,' * 3000,
]  # fmt: skip
WHOLE = json.dumps(
    {
        "id": None, "context": {"a": "b"}, "webhook": None, "webhook_events_filter": ["start"], "other": [1, {}],
        "input": {"text": "ä", "number": 2, "mapping": {"a": [1, 2.5, None]}, "numbers": [1, 2], "flag": True},
    }
).encode()  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.integers(0, len(WHOLE)), st.sampled_from([0, 0, 1, 5]), st.sampled_from(FRAGMENTS)),
    min_size=1,
    max_size=4,
)


def changed(changes: list[tuple[int, int, bytes]]) -> bytes:
    raw = WHOLE
    for at, gone, new in changes:
        raw = raw[:at] + new + raw[at + gone :]
    return raw


def check_body(server: Server, raw: bytes, headers: dict[str, Any] | None = None) -> None:
    answer = post(server, raw, headers)
    shown = judged(answer)
    assert "hunter2" not in answer.body.decode()
    assert answer.status in (200, 400, 422)
    try:
        value = json.loads(raw.decode(), parse_constant=_no_constant, parse_int=len)
    except (ValueError, RecursionError):
        assert answer.status == 400 or (not raw and answer.status == 200), (raw, shown)
        return
    if answer.status == 400:
        assert "nested" in shown["error"] or "half of a character" in shown["error"], (raw, shown)
    elif not isinstance(value, dict):
        assert answer.status == 422


def _no_constant(name: str) -> None:
    raise ValueError(name)


@settings(max_examples=EXAMPLES * 2)
@given(CHANGES)
@example([(1, 0, b'"id":5,'), (60, 0, b"NaN")])
def test_changed_bodies_are_answered(server: Server, changes: list[tuple[int, int, bytes]]) -> None:
    check_body(server, changed(changes))


@settings(max_examples=EXAMPLES)
@given(
    st.binary(max_size=200)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.sampled_from(
        [WHOLE.decode().encode(coding) for coding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")]
    )
    | st.sampled_from(FRAGMENTS)
    | VALUES.map(lambda value: json.dumps(value).encode())
)
@example(b"5\0")
def test_any_bytes_are_answered(server: Server, raw: bytes) -> None:
    check_body(server, raw)


# Headers

HEADERS: dict[str, list[str]] = {
    "prefer": [
        "respond-async", "RESPOND-ASYNC, wait=0", "wait=\xb2", "respond-async, wait=\xb3", "wait=", 'wait="', "wait=-1",
        "wait=0.5", "=,;=,,", "respond-async;foo=bar", "a" * 5000, "wait=99999999999999999999",
    ],
    "accept": ["*/*", "", ",", "text/event-stream;q=0", "application/json;q=9", ";;,", "\xff", "a/b" * 900],
    "content-type": ["application/json", "APPLICATION/JSON;charset=utf-7", "application/\xff+json", ";", "json", "text/plain", "application/x+json; a=\"", ","],
    "content-encoding": ["gzip", "identity", "br, gzip", "", "\xff"],
    "traceparent": ["00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\xe9", "", "x" * 9000],
    "tracestate": ["a=b", "=", "\xff\xfe"],
    "expect": ["100-continue", "200-ok"],
    "upgrade": ["h2c", "websocket", "\xff"],
    "connection": ["keep-alive", "close", "upgrade", "x, y"],
    "host": ["", "[", "a:b", "[::", "\xff", "x" * 3000, "a b"],
    "x-forwarded-for": ["::1, \xff"],
    "cookie": ["=" * 3000],
}  # fmt: skip
ODD = st.dictionaries(
    st.sampled_from(list(HEADERS)), st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20), max_size=5
)  # fmt: skip


@settings(max_examples=EXAMPLES)
@given(
    ODD,
    st.randoms(use_true_random=False),
    st.sampled_from([b"{}", b'{"input":{"number":"x"}}', gzip.compress(b"{}"), b""]),
)
@example({"prefer": "respond-async, wait=\xb2"}, random.Random(1), b"{}")
def test_any_headers_are_answered(
    server: Server, odd: dict[str, str | None], chance: random.Random, raw: bytes
) -> None:
    headers = {
        name: (chance.choice(HEADERS[name]) if value is None else value).encode("latin-1")
        for name, value in odd.items()
    }
    answer = post(server, raw, headers)
    judged(answer)
    if answer.status == 202:  # let it end, so that the next one finds a place
        server.wait_for(answer.json()["id"])
    path = server.call("GET", "/nowhere", headers=headers)
    assert path.status in (404, 400)
    assert path.json()["status"] == "failed"


@pytest.mark.parametrize("preference", ["wait=\xb2", "respond-async, wait=\xb9\xb2"])
def test_digits_that_are_no_number_are_an_unknown_preference(server: Server, preference: str) -> None:
    answer = post(server, b"{}", {"prefer": preference.encode("latin-1")})
    assert answer.status == (202 if "async" in preference else 200)


def test_a_compressed_body_is_415_and_says_so(server: Server) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = post(server, gzip.compress(b"{}"), headers)
    assert (answer.status, "gzip" in answer.json()["error"]) == (415, True)
    assert post(server, b"{}", {"content-encoding": "identity"}).status == 200


# Ids

IDS = (
    st.text(min_size=1, max_size=400)
    | st.text("abcXYZ019._~:@=+,-", min_size=1, max_size=20)
    | st.sampled_from([".", "..", "...", "a/b", "../a", "a/../b", "/", "//", "a\n", "\na", "a\r", "\0", "%", "a?b", "a#b", "é", "a b", "%2e", "cancel", "a/cancel", "x" * 256, "x" * 257, "_" * 400, "\ufeff", "\u202e"])
)  # fmt: skip
RULE = re.compile(r"[A-Za-z0-9._~:@=+,-]{1,256}")


def valid(text: str) -> bool:
    return RULE.fullmatch(text) is not None and text not in (".", "..")


@settings(max_examples=EXAMPLES)
@given(IDS.filter(_whole), st.sampled_from(["", "/:@=+,~", "/"]))
@example("abc\n", "")
def test_any_id_in_the_path_is_taken_or_refused(server: Server, text: str, safe: str) -> None:
    path = quote(text, safe=safe)
    answer = server.call("PUT", f"/predictions/{path}", {"input": {}})
    shown = judged(answer)
    if text.endswith("/cancel"):  # another address, however its slash is written
        assert answer.status == 405
        return
    if valid(text):
        assert (answer.status, shown["id"]) == (200, text)
    else:
        assert (answer.status, shown["detail"][0]["loc"]) == (422, ["path", "prediction_id"])
        assert "id" not in shown
    assert unquote(path) == text
    assert server.get(f"/predictions/{path}").status == (200 if valid(text) else 404)
    assert server.call("POST", f"/predictions/{path}/cancel").status == 404


@settings(max_examples=EXAMPLES)
@given(IDS.filter(_whole) | st.just(""))
def test_any_id_in_the_body_is_taken_or_refused(server: Server, text: str) -> None:
    answer = server.call("POST", "/predictions", {"id": text})
    shown = judged(answer)
    assert answer.status == (200 if valid(text) else 422)
    assert shown["id"] == text if valid(text) else shown["detail"][0]["loc"] == ["body", "id"]


@pytest.mark.parametrize("path", [b"/predictions/%ff", b"/predictions/%zz", b"/predictions/%", b"/predictions/%00", b"/predictions/%c0%ae%c0%ae", b"/predictions/\xff", b"/predictions/a;b"])  # fmt: skip
def test_any_bytes_of_a_path_are_answered(server: Server, path: bytes) -> None:
    answer = raw_request(
        server, b"PUT " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    )
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 422 ")), answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "failed"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health-check"), ("GET", "/"), ("POST", "/predictions"), ("POST", "/shutdown")],
)
def test_an_end_of_line_in_a_path_is_part_of_it(server: Server, method: str, path: str) -> None:
    answer = send(f"{server.url}{path}%0a", method, body=b"{}" if method == "POST" else None)
    assert answer.status == 404
    judged(answer)


def raw_request(server: Server, data: bytes) -> bytes:
    with socket.create_connection(
        ("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=20
    ) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


# Fields


def test_of_a_field_that_is_given_twice_the_last_one_counts(server: Server) -> None:
    for raw in (
        b'{"id":5,"id":"twice"}',
        b'{"id":"once","id":"twice"}',
        b'{"context":1,"context":{},"id":"twice"}',
    ):
        assert judged(post(server, raw))["id"] == "twice"
    shown = judged(post(server, b'{"input":{"number":"x","number":3},"input":{"number":1,"number":2}}'))
    assert (shown["output"]["number"], shown["input"]["number"]) == (2, 2)
    assert post(server, b'{"id":"a","id":5}').status == 422


def test_what_is_no_json_is_400_whatever_else_is_wrong(server: Server) -> None:
    for raw in (b'{"id":5,"input":{"a":NaN}}', b'{"id":5} x', b"[NaN", b"5\0", b'{"context":1,"a":"\\x"}'):
        answer = post(server, raw)
        assert (answer.status, "not JSON" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00", r"a\udbffb", r"\ud800A"])
def test_half_of_a_pair_is_400_and_explained(server: Server, text: str) -> None:
    answer = post(server, b'{"input":{"text":"%s"}}' % text.encode())
    assert (answer.status, "half of a character" in answer.json()["error"]) == (400, True)


def test_a_number_out_of_range_is_422_and_explained(server: Server) -> None:
    for name in ("ratio", "anything", "number"):
        shown = judged(post(server, b'{"input":{"%s":1e999}}' % name.encode()))
        assert "out of range" in shown["detail"][0]["msg"]
    assert "must be a string" in judged(post(server, b'{"id":1e999}'))["error"]
    assert "must be a string" in judged(post(server, b'{"id":%s}' % (b"7" * 5000)))["error"]


def test_a_large_context_is_refused_and_reaches_no_worker(server: Server) -> None:
    shown = judged(server.call("POST", "/predictions", {"context": {"a": "é" * 12_000_000}, "id": 5}))
    assert [problem["loc"] for problem in shown["detail"]] == [["body", "id"], ["body", "context"]]
    assert "1,048,576" in shown["error"]
    assert server.call("POST", "/predictions", {"context": {"a": "b" * 1_000_000}}).status == 200


def test_a_long_name_does_not_come_back_whole(server: Server) -> None:
    answer = server.predict({"stranger" * 100_000: 1, "numbers": [{"k" * 100_000: 1}]})
    assert answer.status == 422
    assert len(answer.body) < 2000


def test_unknown_names_are_dropped_and_named_once_in_the_log(server: Server) -> None:
    for _ in range(3):
        shown = judged(server.predict({"numbr": 3, "zzz": {}, "number": 1}))
        assert (shown["input"], shown["output"]["number"]) == ({"number": 1}, 1)
    server.wait_log("numbr")
    said = [line for line in server.lines if "numbr" in line["fields"].get("names", ())]
    assert [(line["level"], line["fields"]["names"]) for line in said] == [("WARNING", ["numbr", "zzz"])]
    assert "number" in said[0]["fields"]["inputs_of_the_model"]


def test_a_great_many_unknown_names_are_passed_over(server: Server) -> None:
    names = b",".join(b'"n%d":[0]' % number for number in range(300_000))
    shown = judged(post(server, b'{"input":{%s,"number":7.0}}' % names))
    assert (shown["input"], shown["output"]["number"]) == ({"number": 7.0}, 7)


# Size

MIB = 1024 * 1024


def fill(item: bytes, size: int, before: bytes, after: bytes) -> bytes:
    return before + b",".join([item] * (size // (len(item) + 1))) + after


LARGE = {
    "deep lists": (b"[" * 120 + b"]" * 120, b'{"input":{"anything":[', b"]}}"),
    "empty lists": (b"[]", b'{"input":{"anything":[', b"]}}"),
    "brackets in texts": (b'["["]', b'{"input":{"anything":[', b"]}}"),
    "escapes": (rb'"\\\"["', b'{"input":{"anything":[', b"]}}"),
    "names": (b'"a":{}', b'{"input":{"mapping":{', b"}}}"),
    "integers": (b"1", b'{"input":{"numbers":[', b"]}}"),
    "a 2.0 among integers": (b"1", b'{"input":{"numbers":[2.0,', b"]}}"),
    "wrong integers": (b'""', b'{"input":{"numbers":[', b"]}}"),
    "fields before": (b"[]", b'{"id":5,"other":[', b"]}"),
    "events": (b'"start"', b'{"webhook_events_filter":[', b"]}"),
    "a text": (b"a" * 1000, b'{"input":{"text":"', b'"}}'),
    "no end": (b"[", b'{"input":{"anything":[', b""),
}


def longest_silence(server: Server, size: int, name: str) -> tuple[int, float]:
    """How long the server's health waited while a large body was answered, and with what that was."""
    item, before, after = LARGE[name]
    raw = fill(item, size, before, after)
    worst, ended = 0.0, threading.Event()
    statuses: list[int] = []

    def deliver() -> None:
        try:
            statuses.append(
                send(
                    f"{server.url}/predictions",
                    "POST",
                    body=raw,
                    headers={"prefer": "respond-async"},
                    timeout=100,
                ).status
            )
        finally:
            ended.set()

    thread = threading.Thread(target=deliver)
    thread.start()
    while not ended.is_set():
        began = time.monotonic()
        assert server.get("/live", timeout=90).status == 200
        worst = max(worst, time.monotonic() - began)
        ended.wait(0.005)
    thread.join()
    return statuses[0], worst


@pytest.mark.parametrize("name", LARGE)
def test_a_large_body_is_answered_while_others_are(server: Server, name: str) -> None:
    status, worst = longest_silence(server, MIB // 4, name)
    assert status in (202, 400, 422)
    assert worst < 3
    if status == 202:
        until(lambda: server.get("/health-check").json()["status"], lambda state: state == "READY")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", ["deep lists", "empty lists", "names", "escapes", "integers", "a 2.0 among integers", "a text"]
)
def test_the_largest_body_does_not_silence_the_server(quiet: Server, name: str) -> None:
    size = 40 * MIB if name != "a 2.0 among integers" else 5 * MIB
    status, worst = longest_silence(quiet, size, name)
    print(f"{name}: {status}, {worst:.2f} s")
    assert worst < 10
    if status == 202:
        until(lambda: quiet.health()["status"], lambda state: state == "READY", 200)


# Many


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=MANY)
@given(INPUTS)
def test_many_inputs(server: Server, value: dict[str, Any]) -> None:
    check_agreement(server, value)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=MANY)
@given(CHANGES)
def test_many_changed_bodies(server: Server, changes: list[tuple[int, int, bytes]]) -> None:
    check_body(server, changed(changes))
