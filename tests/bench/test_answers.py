"""Answers out of bytes that come in pieces of any size, and what each says."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.bench.answers import Answer, Kind, Reader, judge


def read(data: bytes, cuts: list[int]) -> list[Answer]:
    """The answers in `data`, which comes cut at these places."""
    reader, found = Reader(), []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(places):
        if (answer := reader.feed(data[begin:end])) is not None:
            found.append(answer)
    if (last := reader.end()) is not None:
        found.append(last)
    return found


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """`body` in chunks of these sizes, and one of the rest."""
    pieces = []
    for size in sizes:
        piece, body = body[:size], body[size:]
        pieces += [piece] if piece else []
    pieces += [body] if body else []
    written = b"".join(b"%x;name=value\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return written + b"0\r\nTrailer: x\r\n\r\n"


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(body=st.binary(max_size=200), cuts=CUTS)
def test_a_body_of_known_length(body: bytes, cuts: list[int]) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-LENGTH: %d\r\n\r\n%b" % (len(body), body)
    assert read(data, cuts) == [Answer(200, body, False)]


@given(body=st.binary(max_size=200), sizes=st.lists(st.integers(1, 50)), cuts=CUTS)
def test_a_body_in_chunks(body: bytes, sizes: list[int], cuts: list[int]) -> None:
    data = b"HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunked(
        body, sizes
    )
    assert read(data, cuts) == [Answer(409, body, True)]


@given(body=st.binary(max_size=200), cuts=CUTS)
def test_a_body_that_ends_with_the_connection(body: bytes, cuts: list[int]) -> None:
    assert read(b"HTTP/1.0 200 OK\r\n\r\n" + body, cuts) == [Answer(200, body, True)]


@given(cuts=CUTS)
def test_an_interim_answer_is_none(cuts: list[int]) -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    assert [answer.status for answer in read(data, cuts)] == [204]


def test_one_answer_after_the_other() -> None:
    reader = Reader()
    for status in (200, 503, 200):
        assert reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: 1\r\n\r\n" % status) is None
        assert reader.feed(b"x") == Answer(status, b"x", False)
        assert reader.end() is None


def test_what_is_cut_off_is_no_answer() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", []) == []
    assert read(b"HTTP/1.1 200 OK\r\nConte", []) == []


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"x" * 100_000,
    ],
)
def test_what_is_no_http_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer|invalid literal"):
        read(data, [])


def judged(status: int, document: object) -> tuple[Kind, str, float | None]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    kind, text, model_time, _ = judge(Answer(status, body, False))
    return kind, text, model_time


def test_only_a_prediction_that_succeeded_is_answered() -> None:
    told = {
        "status": "succeeded",
        "output": {"status": "failed"},
        "metrics": {"predict_time": 2},
        "error": None,
    }
    assert judged(200, told) == (Kind.ANSWERED, "", 2.0)
    assert judged(200, {"status": "failed", "error": "ValueError: no"}) == (
        Kind.FAILED,
        "ValueError: no",
        None,
    )
    assert judged(200, {"status": "processing"}) == (Kind.FAILED, "it is processing", None)
    assert judged(200, {"output": {"status": "succeeded"}})[0] is Kind.FAILED
    for body in (b"", b"<html>", b"[1]", b'"succeeded"'):
        assert judged(200, body) == (Kind.FAILED, "the answer is no prediction", None)


def test_how_many_there_were_in_its_batch() -> None:
    told = {"status": "succeeded", "metrics": {"predict_time": 0.5, "batch_size": 7}}
    assert judge(Answer(200, json.dumps(told).encode(), False)).together == 7


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_refusal_is_no_failure(status: int) -> None:
    assert judged(status, {"error": "full"}) == (Kind.REFUSED, f"{status}: full", None)


def test_other_answers_have_failed() -> None:
    assert judged(500, {"error": "broken"}) == (Kind.FAILED, "500: broken", None)
    assert judged(502, b"<html>\n bad </html>") == (Kind.FAILED, "502: <html> bad </html>", None)
