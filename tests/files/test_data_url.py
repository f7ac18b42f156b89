"""Data URLs."""

from __future__ import annotations

import base64
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.files.data_url import DataUrl, DataUrlError, encode, header, is_data_url, parse, shorten


@given(st.binary(max_size=2000))
def test_what_is_encoded_is_parsed_back(content: bytes) -> None:
    text = encode(content, "image/png").decode()
    assert text == f"data:image/png;base64,{base64.b64encode(content).decode()}"
    assert parse(text) == DataUrl("image/png", content)
    assert parse(text.rstrip("=")).content == content
    assert header(text) == ("image/png", True, len(content))


@given(st.binary(max_size=2000))
def test_the_url_safe_alphabet_and_percent_escapes(content: bytes) -> None:
    safe = base64.urlsafe_b64encode(content).decode()
    assert parse(f"data:;base64,{safe}").content == content
    escaped = quote_from_bytes(base64.b64encode(content), safe="")
    assert parse(f"data:;base64,{escaped}").content == content


@given(st.binary(max_size=2000), st.sampled_from(["", "/+\\ ;,", "%"]))
def test_the_percent_form(content: bytes, safe: str) -> None:
    text = f"data:,{quote_from_bytes(content, safe=safe.replace('%', ''))}"
    assert parse(text) == DataUrl("text/plain", content)


@given(st.text())
def test_garbage_is_a_data_url_error_or_fine(text: str) -> None:
    for each in (text, f"data:{text}", f"data:;base64,{text}", f"data:,{text}"):
        shorten(each)
        try:
            parse(each)
        except DataUrlError:
            continue


@given(st.text(alphabet="%0aAfF\\xu{}\nN", max_size=30))
def test_only_whole_escapes_are_decoded(text: str) -> None:
    try:
        content = parse(f"data:,{text}").content
    except DataUrlError:
        return
    assert quote_from_bytes(content, safe="\\{}\n") == quote_from_bytes(_slow(text), safe="\\{}\n")


def _slow(text: str) -> bytes:
    parts = text.encode().split(b"%")
    return parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data:,", DataUrl("text/plain", b"")),
        ("data:;base64,", DataUrl("text/plain", b"")),
        ("DATA:Text/HTML;charset=utf-8;BASE64,aGk=", DataUrl("text/html", b"hi")),
        ("data:text/plain;charset=utf-8,h%C3%A9,llo", DataUrl("text/plain", "hé,llo".encode())),
        ("data:;charset=utf-8,hé llo", DataUrl("text/plain", "hé llo".encode())),
        ("data:image/svg+xml,<svg/>", DataUrl("image/svg+xml", b"<svg/>")),
        ("data:;base64,-_-_", DataUrl("text/plain", b"\xfb\xff\xbf")),
        ("data:;base64,aA", DataUrl("text/plain", b"h")),
        (r"data:,a\x41\u0041\N{DIGIT ONE}", DataUrl("text/plain", rb"a\x41\u0041\N{DIGIT ONE}")),
    ],
)
def test_what_is_accepted(text: str, expected: DataUrl) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin"),
        ("http://x", "does not begin"),
        ("data:", "no comma"),
        ("data:image/png;base64", "no comma"),
        ("data:" + "x" * 5000 + ",", "no comma"),
        ("data:base64,aGk=", "not a media type"),
        ("data:image/p\ng;base64,aGk=", "not a media type"),
        ("data:;base64,aG k=", "character ' ' at position 2"),
        ("data:;base64,aGk=\n", "character '=' at position 3"),
        ("data:;base64,aGkä", "character 'ä' at position 3"),
        ("data:;base64,a=Gk", "character '=' at position 1"),
        ("data:;base64,aGk?", "character '\\?' at position 3"),
        ("data:;base64,a", "length"),
        ("data:;base64,aGkaa", "length"),
        ("data:;base64,aGk==", "padding"),
        ("data:;base64,aGkk=", "padding"),
        ("data:;base64,====", "padding"),
        ("data:;base64,=", "padding"),
        ("data:,%4", "hexadecimal"),
        ("data:,%zz", "hexadecimal"),
        ("data:,%", "hexadecimal"),
        ("data:,\ud800", "surrogate"),
        ("data:;base64,\ud800aaa", "position 0"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(DataUrlError, match=why):
        parse(text)


def test_a_wrong_character_far_in_is_found_at_its_place() -> None:
    text = "A" * 3_000_001 + "!" + "A" * 2
    with pytest.raises(DataUrlError, match="'!' at position 3000001"):
        parse("data:;base64," + text)


def test_32_mib_in_pieces() -> None:
    content = bytes(range(256)) * (32 * 4096)
    assert parse(encode(content, "image/png").decode()).content == content
    assert parse("data:," + "%41b" * 1_000_000).content == b"Ab" * 1_000_000


def test_an_unusable_media_type_does_not_get_into_the_output() -> None:
    assert encode(b"", 'a/b"') == b"data:application/octet-stream;base64,"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("data:image/png;base64," + "A" * 4_473_924, "data:image/png;base64,... (3.2 MiB)"),
        ("data:,hello", "data:text/plain,... (5 bytes)"),
        ("data:,%41%42", "data:text/plain,... (2 bytes)"),
        ("data:;base64," + "A" * 4096, "data:text/plain;base64,... (3.0 KiB)"),
        ("data:;base64,AA==", "data:text/plain;base64,... (1 bytes)"),
        ("data:secret", "data:... (11 bytes)"),
    ],
)
def test_shortened_for_people(text: str, short: str) -> None:
    assert shorten(text) == short


def test_the_scheme_in_any_case() -> None:
    assert is_data_url("DaTa:x")
    assert not is_data_url("dat")
