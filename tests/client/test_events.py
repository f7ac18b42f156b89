"""The reader of event streams: the rules of the HTML standard, however the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.client.events import Event, Parser

STREAM = (
    '\ufeffevent: start\ndata: {"id":"a"}\nid: 1\n\n'
    ": keep-alive\r\n\r\n"
    "event:output\rdata: é\rdata:  two\r\r"
    "data\n\n"
    "event: lost\n\n"
    "id\ndata: x\nretry: 5\nunknown: 1\n\n"
    "data: cut off"
).encode()
EVENTS = [
    Event("start", '{"id":"a"}', "1"),
    Event("output", "é\n two", "1"),
    Event("message", "", "1"),
    Event("message", "x", ""),
]


def parse(pieces: list[bytes]) -> list[Event]:
    parser = Parser()
    return [event for piece in pieces for event in parser.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_cutting_gives_the_same_events(places: list[int]) -> None:
    assert parse(cut(STREAM, places)) == EVENTS


@given(st.data())
def test_any_bytes_give_the_same_events_however_they_are_cut(data: st.DataObject) -> None:
    parts = st.sampled_from(
        [b"\r", b"\n", b"data:", b"id:", b"event: ", b" ", b":", b"\xff", b"\xef\xbb\xbf", b"x", b"\0"]
    )
    stream = b"".join(data.draw(st.lists(parts | st.binary(max_size=3), max_size=30)))
    places = data.draw(st.lists(st.integers(0, len(stream))))
    assert parse(cut(stream, places)) == parse([stream])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "output", "log"]),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1),
        )
    )
)
def test_what_is_written_is_read(written: list[tuple[str, str]]) -> None:
    stream = "".join(
        f"id: {number}\nevent: {name}\ndata: {data}\n\n" for number, (name, data) in enumerate(written)
    )
    assert parse([stream.encode()]) == [
        Event(name, data, str(number)) for number, (name, data) in enumerate(written)
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_kind_of_line_end(end: bytes) -> None:
    assert parse([end.join([b"event: a", b"data: 1", b"data: 2", b"", b""])]) == [Event("a", "1\n2", "")]


def test_an_id_with_a_nul_is_no_id() -> None:
    assert parse([b"id: 7\nid: 8\0\ndata: x\n\n"]) == [Event("message", "x", "7")]


def test_a_long_line_in_small_pieces_is_not_copied_again_and_again() -> None:
    pieces = [b"data: ", *[b"x" * 1024] * 20_000, b"\n\n"]  # quadratic would be 200 GB of copying
    assert len(parse(pieces)[0].data) == 20_000 * 1024
