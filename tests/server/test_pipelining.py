"""A stream of requests means the same however it comes: one per connection, or all on one, cut anywhere."""

from __future__ import annotations

import itertools
import random
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.serving import Response, Server
from support.sockets import ADDING, Raw, get, post, quiet, raw


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Iterator[Server]:
    started: Server = serve_once(ADDING, "--max-body", "100000")
    yield started
    quiet(started)


def chunked(input: dict[str, Any], *headers: str, **fields: Any) -> bytes:
    """The same request as `post` gives, in chunks."""
    head, _, data = post(input, *headers, **fields).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    pieces = [data[:1], data[1:9], data[9:]]
    parts = (b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return (
        b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b"".join(parts)])
        + b"0\r\nA: trailer\r\n\r\n"
    )


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEA")

# Each answer depends only on what the requests before it did; NAME becomes another id, as long as it, for each stream.
KEPT = [
    post({"x": 1}),
    post({"x": 2}, id="NAME"),
    post({"x": 3}, "Prefer: respond-async, wait=20"),
    post({"size": 50_000}),
    post({"x": 4}, padding="x" * 90_000),
    post({"x": "no number"}),
    post({"x": 5}, *UPGRADE),
    post({"x": 6}, "Expect: something"),
    post({}, "Content-Encoding: gzip"),
    chunked({"x": 7}),
    chunked({"x": 8}, *UPGRADE),
    get("/predictions/NAME", "Content-Length: 16", method="PUT") + b'{"input":{"x":9}',
    get("/predictions/NAME", "Content-Length: 17", method="PUT") + b'{"input":{"x":9}}',
    get("/predictions/NAME"),
    get("/predictions/NAME/cancel", method="POST"),
    get("/live", *UPGRADE),
    get("/live", "Content-Length: 3") + b"GET",
    get("/nothing", "Content-Length: 27", method="DELETE") + b"GET /live HTTP/1.1\r\nA: b\r\n\r",
    b"\r\n" + get("/ready"),
    get("/live", method="HEAD"),
    get("/health-check", "Connection: keep-alive", method="PATCH"),
]  # fmt: skip
LAST = [
    post({"x": 1}, "Connection: close"),
    post({"x": 2}, padding="x" * 200_000),
    b"GET /live HTTP/1.0\r\n\r\n",
    b"nonsense\r\n\r\n",
    get("/live", "Content-Length: 1", "Content-Length: 2"),
    get("/predictions", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n",
    get("/" + "a" * 10_000),
]  # fmt: skip
SECRETS = re.compile(
    rb'"(id|created_at|started_at|completed_at|predict_time|queue_time)":("[^"]*"|[0-9.e-]+),?'
)


def shown(answer: Response) -> tuple[int, dict[str, str], bytes]:
    """What two answers to the same request have in common."""
    headers = {
        name: value for name, value in answer.headers.items() if name not in ("date", "content-length")
    }
    return answer.status, headers, SECRETS.sub(b"", answer.body)


def ask(connection: Raw, sent: list[bytes]) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers to `sent`, up to the one with which the server closes."""
    found = []
    for request in sent:
        found.append(shown(connection.answer(bodiless=request.startswith(b"HEAD "))))
        if "connection" in found[-1][1]:
            connection.ended()
            break
    return found


def send_in_pieces(server: Server, connection: Raw, data: bytes, cuts: list[int]) -> None:
    """A round trip on another connection between two pieces: the server has seen the first one when the next comes."""
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with raw(server) as other:
        for start, end in itertools.pairwise(
            [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
        ):
            if start:
                other.send(get("/live"))
                assert other.answer().status == 200
            try:
                connection.send(data[start:end])
            except OSError:
                return  # it has been refused, and closed


names = itertools.count()


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(KEPT), max_size=12),
    st.sampled_from([*LAST, *KEPT]),
    st.lists(st.sampled_from(KEPT), max_size=3),
    st.integers(),
)
def test_on_one_connection_or_on_many_the_answers_are_the_same(
    server: Server, before: list[bytes], last: bytes, behind: list[bytes], seed: int
) -> None:
    stream = [*before, last, *behind]
    alone = []
    name = b"%04d" % next(names)
    for request in stream:
        with raw(server) as connection:
            connection.send(request.replace(b"NAME", name))
            alone += ask(connection, [request])
        if "connection" in alone[-1][1]:
            break
    chance = random.Random(seed)
    name = b"%04d" % next(names)
    sent = b"".join(stream).replace(b"NAME", name)
    cuts = [chance.randrange(1, len(sent)) for _ in range(chance.choice([0, 1, 5, 40]))]
    with raw(server) as connection:
        send_in_pieces(server, connection, sent, cuts)
        together = ask(connection, stream)
    assert [text(one) for one in together] == [text(one) for one in alone]


def text(answer: tuple[int, dict[str, str], bytes]) -> str:
    """Short enough to be read in a report."""
    return repr(answer)[:500]


def test_it_may_be_cut_at_every_byte(server: Server) -> None:
    stream = [
        post({"x": 5}, *UPGRADE),
        get("/live", *UPGRADE),
        chunked({"x": 7}),
        get("/live", method="HEAD"),
    ]
    sent = b"".join(stream)
    for cut in range(1, len(sent)):
        with raw(server) as connection:
            send_in_pieces(server, connection, sent, [cut])
            first, second, third, fourth = (status for status, _, _ in ask(connection, stream))
            assert (first, second, third, fourth) == (200, 200, 200, 200)
            connection.works()
