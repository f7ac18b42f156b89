"""A head that was read before is not read again, and what is made of a request is the same as if it were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cog.errors import CogError
from cog.server.heads import Heads, Known
from cog.server.reader import Head, Reader
from cog.server.wire import Scope
from support.serving import Server
from support.sockets import ADDING, get, post, quiet, raw


class Takes:
    """What a reader has handed on, told the same way whichever way it went."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.known = 0
        self.deaf = False  # as the connection is after a request that closes it
        self._keep_alive = True

    def _begin(self, scope: Scope, keep_alive: bool, expects: bool) -> None:
        self._keep_alive = keep_alive
        what = (scope["method"], scope["path"], scope["query_string"], scope["http_version"])
        self.seen.append((*what, sorted(scope["headers"]), keep_alive, expects))

    def take_head(self, head: Head) -> None:
        if not self.deaf:
            self._begin(head.scope, head.keep_alive, head.expects)

    def take_body(self, part: bytes) -> None:
        if self.deaf:
            return
        if self.seen and self.seen[-1][0] == "body":
            part = self.seen.pop()[1] + part
        self.seen.append(("body", part))

    def take_end(self) -> None:
        if not self.deaf:
            self.seen.append(("end",))
            self.deaf = not self._keep_alive

    def take_whole(self, known: Known, body: bytes) -> None:
        self.known += 1
        self._begin(known.scope(len(body), {}), True, False)
        if body:
            self.take_body(body)
        self.take_end()


def knowing(*requests: bytes) -> Heads:
    """The heads of these, as often as it takes to know them."""
    heads = Heads()
    for request in requests * 2:
        told([request], heads)
    return heads


def told(pieces: list[bytes], heads: Heads) -> Takes:
    """What a connection hands on of `pieces`, until something is refused."""
    takes = Takes()
    reader = Reader(takes, {}, heads)
    try:
        for piece in pieces:
            if not takes.deaf:
                reader.read(piece)
    except CogError as error:
        if not takes.deaf:
            takes.seen.append((error.status, str(error)))
    return takes


LINES = st.sampled_from(
    [
        b"Host: x", b"Content-Type: application/json", b"content-type: text/plain", b"X-A: b", b" folded", b"\tfolded",
        b"Connection: close", b"Connection: keep-alive", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
        b"Content-Length: 5", b"content-length: 3", b"Content-Length:3", b"CONTENT-LENGTH:  2", b"Content-Length: +3",
        b"Upgrade: h2c", b"Content-Length : 3", b"A:\r\nContent-Length: 4", b"\r", b"\n", b"X: \n",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"12", b"123", b"12345", b"\r\n\r\n", b"1\r\n\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"G"]
)
TARGETS = st.sampled_from(
    [b"POST /predictions", b"POST /predictions?a=b", b"GET /live", b"PUT /x", b"\r\nPOST /p"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, or what nearly is one; most are whole."""
    body = draw(BODIES)
    lines = draw(st.lists(LINES, max_size=4))
    if draw(st.integers(0, 3)):
        lines.insert(draw(st.integers(0, len(lines))), b"Content-Length: %d" % len(body))
    if draw(st.integers(0, 7)):
        lines.insert(0, b"Host: x")
    version = draw(st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0"]))
    return b"\r\n".join([draw(TARGETS) + b" " + version, *lines, b"", body])


@settings(max_examples=1500, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=4), st.lists(requests(), max_size=2))
def test_it_makes_no_difference_whether_heads_are_known(sent: list[bytes], before: list[bytes]) -> None:
    """Byte by byte nothing is ever found to be known."""
    heads = knowing(*before, *sent)
    whole = b"".join(sent)
    plain = told([whole[at : at + 1] for at in range(len(whole))], Heads())
    assert plain.known == 0
    assert told(sent, heads).seen == plain.seen
    assert told([whole], heads).seen == plain.seen


def test_a_head_is_known_whatever_the_length_of_the_body() -> None:
    heads = Heads()
    sent = [post({"x": 1}), post({"x": 1}), post({"x": 123}), post({"x": 1}, "Prefer: wait"), post({"x": 12})]
    assert told(sent, heads).known == 2  # the third one and the last
    assert told([post({"x": 12345}, "Prefer: wait")] * 3, heads).known == 2


@pytest.mark.parametrize(
    "headers", [["Expect: 100-continue"], ["Connection: close"], [f"X-Long: {'x' * 3000}"], ["A: b\r\n c"]]
)
def test_others_are_read_anew(headers: list[str]) -> None:
    heads = knowing(post({"x": 1}, *headers))
    assert told([post({"x": 1}, *headers)] * 3, heads).known == 0


def test_what_the_parser_passes_over_in_front_of_a_request_is_no_part_of_its_head() -> None:
    heads = knowing(b"\r\nPOST /p HTTP/1.1\r\nContent-Length: 3\r\nHost: x\r\n\r\nabc")
    wrong = b"\r\ncontent-length: 3\r\nPOST /p HTTP/1.1\r\nHost: x\r\n\r\nabc"
    assert (
        told([wrong], heads).seen
        == told([wrong], Heads()).seen
        == [(400, "the request is not valid HTTP/1.1")]
    )


def test_heads_that_are_never_the_same_do_not_pile_up() -> None:
    heads = Heads()
    for number in range(30_000):
        told([post({"x": 1}, f"traceparent: {number}")] * (1 + number % 2), heads)
    assert len(heads) <= 1024


# The same over HTTP. The first request makes the head known to all connections.


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Iterator[Server]:
    started: Server = serve_once(ADDING, "--max-queue", "8")
    with raw(started) as connection:
        for _ in range(3):
            connection.works()
    yield started
    quiet(started)


def test_every_kind_of_answer_is_as_before(server: Server) -> None:
    asked: list[tuple[dict[str, Any], int]] = [
        ({"input": {"x": 1}}, 200),
        ({"input": {"x": "no"}}, 422),
        ({"input": {"size": 200_000}}, 200),
        ({"input": {}, "id": "not/valid"}, 422),
        ({"input": {}, "webhook": "ftp://no"}, 422),
        ({"input": {"x": 5}, "id": "mine", "context": {"a": "b"}}, 200),
        ({}, 200),
    ]
    bodies = [(json.dumps(body).encode(), status) for body, status in asked]
    bodies += [(b"{", 400), (b"", 400), (b"[]", 422), (b"\xff", 400)]
    for _ in range(2):
        with raw(server) as connection:
            for body, status in bodies:
                head = f"Content-Length: {len(body)}"
                connection.send(
                    get("/predictions", "Content-Type: application/json", head, method="POST") + body
                )
                found = connection.answer()
                assert found.status == status, found
                assert "connection" not in found.headers
                if status == 200:
                    assert json.loads(found.body)["status"] == "succeeded"
                else:
                    assert json.loads(found.body)["status"] == "failed"
            connection.works()


def test_pipelined_ones_are_answered_in_their_order(server: Server) -> None:
    with raw(server) as connection:
        for _ in range(3):
            connection.send(post({"hold": "slow"}))
            server.wait_file("slow")
            for number in range(10):
                connection.send(post({"x": number}))
            (server.folder / "slow.go").touch()
            assert connection.answer().json()["input"] == {"hold": "slow"}
            for number in range(10):
                assert connection.answer().json()["output"] == number + 1
            for name in ("slow", "slow.go"):
                (server.folder / name).unlink()


@pytest.mark.parametrize("how", ["reset", "half"])
def test_a_client_that_leaves_cancels_its_prediction(server: Server, how: str) -> None:
    with raw(server) as connection:
        connection.send(post({"hold": f"left-{how}"}, id=f"left-{how}"))
        server.wait_file(f"left-{how}")
        if how == "reset":
            connection.reset()
        else:
            connection.socket.shutdown(1)
            assert connection.answer().json()["status"] == "canceled"
            connection.ended()
    server.wait_for(f"left-{how}", "canceled")


def test_an_id_in_flight_is_attached_to_and_an_answer_at_once_is_202(server: Server) -> None:
    with raw(server) as first, raw(server) as second:
        for _ in range(2):
            first.send(post({"hold": "held"}, id="held"))
            server.wait_file("held")
            second.send(post({}, id="held"))
            assert second.answer().status == 202
            second.send(post({}, "Prefer: respond-async"))
            answer = second.answer()
            assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async")
            (server.folder / "held.go").touch()
            assert first.answer().json()["status"] == "succeeded"
            for name in ("held", "held.go"):
                (server.folder / name).unlink()
