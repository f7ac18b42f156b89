"""Compressed answers, decoded piece by piece."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.files.inflate import Inflater
from cog.net.errors import NetError


def raw(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def pieces(encoding: str, parts: list[bytes]) -> Iterator[bytes]:
    inflater = Inflater(encoding)
    for part in parts:
        yield from inflater.feed(part)
    yield from inflater.end()


@given(
    st.binary(max_size=5000),
    st.sampled_from(
        [("gzip", gzip.compress), ("X-GZIP ", gzip.compress), ("deflate", zlib.compress), ("Deflate", raw)]
    ),
    st.integers(1, 500),
)
def test_what_was_packed_comes_out_however_it_was_cut(
    content: bytes, how: tuple[str, object], size: int
) -> None:
    encoding, pack = how
    packed = pack(content)  # type: ignore[operator]
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(pieces(encoding, parts)) == content


def test_a_bomb_comes_out_in_small_pieces() -> None:
    packed = gzip.compress(bytes(200 * 1024 * 1024), 9)
    assert len(packed) < 250_000
    sizes = [len(piece) for piece in pieces("gzip", [packed])]
    assert max(sizes) <= 1024 * 1024
    assert sum(sizes) == 200 * 1024 * 1024


def test_gzip_files_one_behind_the_other() -> None:
    assert b"".join(pieces("gzip", [gzip.compress(b"a") + gzip.compress(b"b")])) == b"ab"


def test_nothing_at_all_is_an_empty_file() -> None:
    assert list(pieces("gzip", [])) == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_is_missing_or_damaged_is_refused(encoding: str) -> None:
    packed = gzip.compress(b"hello" * 100) if encoding == "gzip" else zlib.compress(b"hello" * 100)
    with pytest.raises(NetError, match="ended too early"):
        list(pieces(encoding, [packed[:-5]]))
    with pytest.raises(NetError, match="damaged"):
        list(pieces(encoding, [b"\x78\xff this is no such thing"]))


def test_what_nobody_here_can_decode() -> None:
    with pytest.raises(NetError, match="compressed in a way that was not asked for") as refused:
        Inflater("br")
    assert not refused.value.retryable
