"""What is not HTTP, or too much of it: refused as JSON, and nobody else notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from support.serving import Server
from support.sockets import ADDING, Raw, get, post, quiet, raw

HOST = "Host: x\r\n"
CREATE = "POST /predictions HTTP/1.1\r\n" + HOST


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Iterator[Server]:
    started: Server = serve_once(ADDING, "--max-body", "1MiB")
    yield started
    quiet(started)


@pytest.fixture
def connection(server: Server) -> Iterator[Raw]:
    with raw(server) as opened:
        yield opened


# Heads


def test_a_head_as_large_as_it_may_be(connection: Raw) -> None:
    connection.send(get("/live", "A: " + "a" * 65_000))
    assert connection.answer().status == 200
    connection.send(get("/live", *(f"A{n}: a" for n in range(199))))
    assert connection.answer().status == 200
    connection.send(get("/live?" + "a" * 8_000))
    assert connection.answer().status == 200
    connection.works()


@pytest.mark.parametrize(
    "sent",
    [
        get("/live", "A: " + "a" * 66_000),
        get("/live", *(f"A{n}: {'a' * 1000}" for n in range(70))),
        get("/live", *(f"A{n}: a" for n in range(200))),
        get("/live", "A" * 66_000 + ": a"),
    ],
    ids=["one value", "in all", "fields", "a name"],
)
@pytest.mark.parametrize("piece", [1 << 20, 10_000])
def test_a_larger_one_is_431(connection: Raw, sent: bytes, piece: int) -> None:
    for start in range(0, len(sent), piece):
        connection.send(sent[start : start + piece])
    connection.refused(431, "larger than 65,536 bytes or has more than 200 fields")


@pytest.mark.parametrize("field", [b"A: " + b"a" * 1000, b"A: a\r\n" * 200, b"a" * 1000])
def test_a_head_without_an_end_is_431_long_before_its_time_is_over(connection: Raw, field: bytes) -> None:
    connection.send("GET /live HTTP/1.1\r\n" + HOST)
    if field.startswith(b"A: aaa"):
        connection.send("B: ")
        field = b"a" * 1000
    try:
        for _ in range(2000):
            connection.send(field)
    except OSError:
        return  # it was hung up on while it sent: enough was enough
    connection.refused(431)


@pytest.mark.parametrize("length", [8_200, 60_000, 500_000])
def test_a_long_target_is_414(connection: Raw, length: int) -> None:
    connection.send(get("/live?" + "a" * length))
    connection.refused(414, "longer than 8,192 bytes")


def test_a_target_without_an_end_is_414(connection: Raw) -> None:
    connection.send("GET /")
    for _ in range(200):
        connection.send("a" * 1000)
    connection.refused(414)


# What is not HTTP


NOT_HTTP = {
    "two lengths": CREATE + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "the same length twice": CREATE + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": CREATE + "Content-Length: 2, 2\r\n\r\n{}",
    "a length and chunks": CREATE + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": CREATE + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "a negative length": CREATE + "Content-Length: -2\r\n\r\n{}",
    "a length with a sign": CREATE + "Content-Length: +2\r\n\r\n{}",
    "a length of 5,001 digits": CREATE + "Content-Length: " + "0" * 5000 + "2\r\n\r\n{}",
    "a length beyond 64 bits": CREATE + "Content-Length: 99999999999999999999999\r\n\r\n{}",
    "no length": CREATE + "Content-Length:\r\n\r\n{}",
    "chunks that are not the last coding": CREATE + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "nearly chunked": CREATE + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk's size that is none": CREATE + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk's size below zero": CREATE + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "a chunk's size beyond 64 bits": CREATE + "Transfer-Encoding: chunked\r\n\r\n" + "f" * 18 + "\r\n{}",
    "a chunk longer than its size": CREATE + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
    "a folded header": "GET /live HTTP/1.1\r\n" + HOST + "A: b\r\n c\r\n\r\n",
    "NUL in a value": "GET /live HTTP/1.1\r\n" + HOST + "A: b\0c\r\n\r\n",
    "NUL in a name": "GET /live HTTP/1.1\r\n" + HOST + "A\0: b\r\n\r\n",
    "a space before the colon": "GET /live HTTP/1.1\r\n" + HOST + "A : b\r\n\r\n",
    "a lone line feed": "GET /live HTTP/1.1\nHost: x\n\n",
    "a lone carriage return": "GET /live HTTP/1.1\r\nHost: x\ry: z\r\n\r\n",
    "a method in lower case": "get /live HTTP/1.1\r\n" + HOST + "\r\n",
    "an unknown method": "BREW /live HTTP/1.1\r\n" + HOST + "\r\n",
    "no method": " /live HTTP/1.1\r\n" + HOST + "\r\n",
    "another version": "GET /live HTTP/1.2\r\n" + HOST + "\r\n",
    "the next version": "GET /live HTTP/2.0\r\n" + HOST + "\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x07" * 200,
    "bytes that are no ASCII in the target": "GET /pr\xe9dictions HTTP/1.1\r\n" + HOST + "\r\n",
    "NUL in the target": "GET /\0 HTTP/1.1\r\n" + HOST + "\r\n",
    "a target that is no path": "GET live HTTP/1.1\r\n" + HOST + "\r\n",
    "CONNECT": "CONNECT x:443 HTTP/1.1\r\n" + HOST + "\r\n",
    "no host": "GET /live HTTP/1.1\r\n\r\n",
    "two hosts": "GET /live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "an answer": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_400_and_the_connection_is_closed(connection: Raw, sent: str) -> None:
    connection.send(sent)
    connection.refused(400)


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_byte_by_byte_it_is_the_same(connection: Raw, sent: str) -> None:
    try:
        for byte in sent:
            connection.send(byte)
    except OSError:
        pass  # answered and closed before it was all sent
    connection.refused(400)


def test_what_is_behind_a_bad_request_is_never_looked_at(server: Server, connection: Raw) -> None:
    hidden = post({"x": 1}, id="smuggled")
    connection.send(
        b"GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\n" + hidden + hidden
    )
    connection.refused(400)
    assert server.get("/predictions/smuggled").status == 404


@pytest.mark.parametrize(
    "framing", ["1;" + "x" * 1000, "0\r\n" + "A: b\r\n" * 200], ids=["extensions", "trailers"]
)
def test_floods_around_the_chunks_are_cut_off(connection: Raw, framing: str) -> None:
    connection.send(CREATE + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" + framing)
    more = ("x" if framing.startswith("1") else "A: b\r\n") * 1000
    try:
        for _ in range(5000):
            connection.send(more)
    except OSError:
        return  # closed while it sent
    connection.refused(400, "too much around it")


# What is odd, but HTTP


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get("http://elsewhere.example/live?a#b"), 200),
        (get("http://elsewhere.example"), 200),
        (get("/live#fragment"), 200),
        (get("//live"), 404),
        (get("*", method="OPTIONS"), 404),
        (get("/live", method="OPTIONS"), 405),
        (get("/predictions/a%2Fb"), 404),
        (get("/predictions/%00"), 404),
        (get("/predictions/%ff%fe"), 404),
        (get("/predictions/%zz"), 404),
        (get("/%2e%2e/%2e%2e/etc/passwd"), 404),
        (get("/../../etc/passwd"), 404),
        (get("/predictions/%00", "Content-Length: 0", method="PUT"), 422),
        (get("/live", "Content-Length: 5") + b"12345", 200),
        (get("/live", "Transfer-Encoding: chunked") + b"2;a=b\r\nab\r\n0\r\nA: b\r\n\r\n", 200),
        (get("/live", "A:", "B:  \t", "C: \xe9"), 200),
        (b"\r\n\r\n" + get("/live"), 200),
        (get("/predictions/none/cancel", "Content-Length: 2", method="POST") + b"{}", 404),
        (get("/nothing", "Content-Length: 2", method="POST") + b"{}", 404),
        (get("/nothing", "Content-Length: 3", "Connection: keep-alive, x", method="DELETE") + b"abc", 404),
    ],
)  # fmt: skip
def test_odd_requests_are_answered_and_the_connection_is_kept(
    connection: Raw, sent: bytes, status: int
) -> None:
    for _ in range(2):
        connection.send(sent)
        answer = connection.answer()
        assert answer.status == status, answer
        assert "connection" not in answer.headers
        assert answer.json() is not None
    connection.works()


@pytest.mark.parametrize(
    "path", ["/", "/live", "/docs", "/openapi.json", "/predictions", "/nothing", "/predictions/x"]
)
def test_head_has_no_body(connection: Raw, path: str) -> None:
    connection.send(get(path, method="HEAD") + get(path))
    head, full = connection.answer(bodiless=True), connection.answer()
    assert (head.status, head.headers["content-length"]) == (full.status, full.headers["content-length"])
    connection.works()


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.0"])
def test_an_upgrade_is_ignored_and_its_body_is_read(connection: Raw, upgrade: str) -> None:
    """Java's HttpClient asks for h2c in each first request, POSTs included."""
    wish = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}", "HTTP2-Settings: AAEA")
    connection.send(post({"x": 7}, *wish))
    assert connection.answer().json()["output"] == 8
    connection.send(get("/live", *wish) + post({"x": 8}, *wish) + get("/ready"))
    assert connection.answer().json() == {"status": "READY"}
    assert connection.answer().json()["output"] == 9
    assert connection.answer().status == 200
    head, _, data = post({"x": 9}, *wish).partition(b"\r\n\r\n")
    head = head.replace(b"Content-Length: %d" % len(data), b"Transfer-Encoding: chunked")
    connection.send(head + b"\r\n\r\n")
    connection.send(b"%x\r\n%b\r\n" % (len(data), data))
    connection.send(b"0\r\n\r\n")
    assert connection.answer().json()["output"] == 10
    connection.works()


@pytest.mark.parametrize("kept", ["", "Connection: keep-alive\r\n"])
def test_http_1_0_is_answered_and_closed(connection: Raw, kept: str) -> None:
    connection.send("GET /live HTTP/1.0\r\n" + kept + "\r\n")
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    connection.ended()


def test_connection_close_is_honoured(connection: Raw) -> None:
    connection.send(post({"x": 1}, "Connection: close") + get("/live"))
    answer = connection.answer()
    assert (answer.json()["output"], answer.headers["connection"]) == (2, "close")
    connection.ended()


@pytest.mark.parametrize("last", [get("/live", "Connection: close"), b"GET /live HTTP/1.0\r\n\r\n"])
def test_who_sends_more_behind_its_last_request_is_not_reset(connection: Raw, last: bytes) -> None:
    """A reset can take the answer away from a client that has not read it yet."""
    for data in (last, get("/live"), get("/live")):
        connection.send(data)
        while not connection.left and data is last:
            assert connection.more()
    assert connection.answer().status == 200
    connection.ended()


# 100 Continue


def split(input: dict[str, Any], *headers: str) -> tuple[bytes, bytes]:
    head, _, data = post(input, "Expect: 100-continue", *headers).partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", data


def test_continue_is_said_when_the_body_is_wanted(connection: Raw) -> None:
    head, data = split({"x": 3})
    connection.send(head)
    assert connection.answer().status == 100
    connection.send(data)
    assert connection.answer().json()["output"] == 4
    connection.send(head + data)  # who does not wait
    answer = connection.answer()
    answer = connection.answer() if answer.status == 100 else answer
    assert answer.json()["output"] == 4
    connection.works()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("POST /predictions", 413),
        ("POST /nothing", 404),
        ("GET /live", 200),
        ("POST /predictions/x/cancel", 404),
    ],
)
def test_it_is_not_said_when_the_body_is_not_wanted(connection: Raw, line: str, status: int) -> None:
    connection.send(f"{line} HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    connection.ended()


# Bodies that are too large


def test_a_length_beyond_64_bits_minus_1_is_413(connection: Raw) -> None:
    connection.send(CREATE + "Content-Length: 18446744073709551615\r\n\r\n{")
    connection.refused(413)


@pytest.mark.parametrize("chunked", [True, False])
def test_413_can_be_read_by_a_client_that_sends_on(connection: Raw, chunked: bool) -> None:
    """The answer must not be lost in the reset that unread bytes cause."""
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 30000000"
    connection.send(CREATE + framing + "\r\n\r\n")
    part = b" " * 100_000
    for _ in range(300):
        connection.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
    connection.refused(413, "larger than 1,048,576 bytes")


def test_a_large_body_that_nobody_wants_is_not_waited_for(connection: Raw) -> None:
    connection.send(get("/live", "Content-Length: 30000000"))
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    connection.ended()


def test_a_small_body_that_nobody_wants_is_read_over(connection: Raw) -> None:
    connection.send(get("/live", "Content-Length: 10"))
    answer = connection.answer()
    assert (answer.status, "connection" in answer.headers) == (200, False)
    connection.send(b"12345")
    connection.send(b"67890" + get("/ready"))
    assert connection.answer().status == 200
    connection.works()


def test_many_large_bodies_at_once(server: Server) -> None:
    done: list[int] = []

    def upload(number: int) -> None:
        size = 900_000 if number % 2 else 1_200_000
        with raw(server) as connection:
            head, _, _ = post({}).partition(b"\r\n\r\n")
            connection.send(head.replace(b"Content-Length: 13", b"Content-Length: %d" % size) + b"\r\n\r\n")
            for _ in range(size // 100_000):
                connection.send(b"%100000s" % b"")
            done.append(connection.answer().status)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [400] * 50 + [413] * 50
