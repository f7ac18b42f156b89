"""Frames survive any cut of the stream, and garbage is named as such."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import ProtocolError
from cog.worker.frames import LENGTHS, MAX_HEADER, Frame, FrameReader, header_text, pack
from cog.worker.messages import Ended, Measured, Printed, PutOut, Start, read_down, read_up

headers = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=4).map(
    lambda header: {**header, "kind": "x"}
)
frames = st.lists(st.tuples(headers, st.binary(max_size=200)), max_size=8)


@given(frames, st.lists(st.integers(1, 40), min_size=1))
def test_any_cut_gives_the_same_frames(sent: list[tuple[dict[str, object], bytes]], cuts: list[int]) -> None:
    stream = b"".join(pack(header_text(header), payload) for header, payload in sent)
    got: list[Frame] = []
    reader, at, turn = FrameReader(), 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        got += reader.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert got == [Frame(header, payload) for header, payload in sent]
    assert reader.empty


@given(frames, st.integers(0, 60), st.integers(1, 3))
def test_what_was_not_asked_for_comes_with_the_next_bytes(
    sent: list[tuple[dict[str, object], bytes]], cut: int, asked: int
) -> None:
    """An exception that a thread of the model raises in the reading one ends the generator."""
    stream = b"".join(pack(header_text(header), payload) for header, payload in sent)
    reader = FrameReader()
    got = list(reader.feed(stream[:cut]))
    cut_short = reader.feed(stream[cut:])
    got += itertools.islice(cut_short, asked)
    cut_short.close()
    got += reader.feed(b"")
    assert got == [Frame(header, payload) for header, payload in sent]


@given(st.integers(0, 12), st.lists(st.binary(max_size=20), max_size=2))
def test_a_header_over_the_limit_is_refused_after_the_frames_before_it(cut: int, before: list[bytes]) -> None:
    stream = b"".join(pack(b'{"kind":"x"}', payload) for payload in before)
    stream += LENGTHS.pack(MAX_HEADER + 1, 0) + b"more"
    reader = FrameReader()
    got: list[bytes] = []

    def read(part: bytes) -> None:
        got.extend(frame.payload for frame in reader.feed(part))

    if cut >= len(stream) - 4:
        cut = 0
    read(stream[:cut])
    with pytest.raises(ProtocolError, match="over the limit"):
        read(stream[cut:])
    assert got == before


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error_or_waits_for_more(data: bytes) -> None:
    try:
        for frame in FrameReader().feed(data):
            read_up(frame)
    except ProtocolError:
        pass


@given(
    st.integers(1),
    st.sampled_from(["succeeded", "failed", "canceled"]),
    st.floats(0, 1e6),
    st.none() | st.binary(),
    st.booleans(),
)
def test_an_end_is_read_as_it_was_written(
    run: int, status: str, seconds: float, payload: bytes | None, canceled: bool
) -> None:
    error = "bad" if status == "failed" else None
    sent = Ended(run, status, seconds, payload, error, [["m", "/p", "n"]] if payload else [], canceled)  # type: ignore[arg-type]
    (frame,) = FrameReader().feed(sent.pack())
    got = read_up(frame)
    assert isinstance(got, Ended)
    assert got._replace(seconds=0) == sent._replace(seconds=0)
    assert abs(got.seconds - seconds) < 1e-6


def test_other_messages_are_read_as_they_were_written() -> None:
    for up in (Printed(None, "stderr", b"\xff"), PutOut(3, [], b"1"), Measured(4, "a.b", [2**70], "append")):
        (frame,) = FrameReader().feed(up.pack())
        assert read_up(frame) == up
    start = Start(5, "/f", {"k": "v"}, b"{}")
    (frame,) = FrameReader().feed(start.pack())
    assert read_down(frame) == start
