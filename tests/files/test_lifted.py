"""Long data URLs out of a JSON text: what is left, together with what was lifted, says what the whole text says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.files.data_url import DataUrl, DataUrlError, parse
from cog.files.lifted import LONG, lift

LETTERS = "ABCDwxyz0189+/"


def long(content: bytes = b"\x00\x01\xfe\xff" * LONG, header: str = "image/png;base64") -> str:
    return f"data:{header},{base64.b64encode(content).decode()}"


def put_back(value: Any, files: dict[str, DataUrl]) -> Any:
    """A value as it was read, data URLs as what they hold."""
    match value:
        case str() if value in files:
            return files[value]
        case str() if value.startswith("data:"):
            try:
                return parse(value)
            except DataUrlError:
                return value
        case list():
            return [put_back(item, files) for item in value]
        case dict():
            return {put_back(key, files): put_back(item, files) for key, item in value.items()}
        case _:
            return value


MUCH = "AbC/" * (LONG // 4)

# A "§" stands for much, which is put in its place only in the test.
texts = st.one_of(
    st.text(max_size=8),
    st.builds(
        lambda header, start, end: f"data:{header},{start}§{end}",
        st.sampled_from(
            [
                *("image/png;base64", ";base64", "", "a/b;charset=x;base64", "a;b", "a/b\t;base64"),
                *("\\;base64", 'a"b;base64', "[{;base64", "ü;base64"),
            ]
        ),
        st.text(LETTERS, max_size=8),
        st.one_of(
            st.text(LETTERS + "=%-_", max_size=6),
            st.sampled_from(['"', "\\", "%41", "\n", "é", "\ud800", "AA==", "AAA="]),
        ),
    ),
    st.just('"data:;base64,§"'),
)
values = st.recursive(
    texts | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def grown(value: Any) -> Any:
    match value:
        case str():
            return value.replace("§", MUCH)
        case list():
            return [grown(item) for item in value]
        case dict():
            return {grown(key): grown(item) for key, item in value.items()}
        case _:
            return value


@given(values, st.booleans())
def test_what_is_left_says_the_same(value: Any, ascii: bool) -> None:
    text = json.dumps(grown(value), ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    left, files = lift(text)
    found = put_back(json.loads(left.decode("utf-8", "surrogatepass")), dict(files))
    assert found == put_back(json.loads(text.decode("utf-8", "surrogatepass")), {})


@pytest.mark.parametrize(
    "end",
    [
        "",
        "A",
        "AA",
        "AAA",
        "AA=",
        "AA==",
        "AAA=",
        "AAAA=",
        "A=AA",
        "!AAA",
        " AAA",
        "\nAAA",
        "é",
        "%41AAA",
        "A-_/",
    ],
)
def test_what_is_lifted_is_what_is_read(end: str) -> None:
    url = long() + end
    left, files = lift(json.dumps({"f": url}, ensure_ascii=False).encode())
    try:
        content = parse(url)
    except DataUrlError:
        assert not files
    else:
        assert not files or list(files.values()) == [content]
        assert bool(files) is ("%" not in end)
        assert len(left) < 200 or not files


@pytest.mark.parametrize("place", [0, 5, LONG, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 3])
@pytest.mark.parametrize("wrong", ["=", "!", "\\", "%", "\x00", "\x80"])
def test_a_wrong_character_anywhere(place: int, wrong: str) -> None:
    letters = "A" * (3 * 1024 * 1024)
    text = f'{{"f":"data:;base64,{letters[:place]}{wrong}{letters[place + 1 :]}"}}'.encode("latin-1")
    assert lift(text) == (text, {})


def test_what_is_no_json_stays_none() -> None:
    for text in (
        f'{{"a"{long()}"}}',
        f'["{long()}]',
        f'"{long()}',
        f'["{long()}" "{long()}"]',
        f'"x{long()}\\"',
    ):
        left, _ = lift(text.encode())
        with pytest.raises(ValueError, match=r".+"):
            json.loads(left)


def test_short_ones_stay() -> None:
    text = json.dumps({"f": long(b"x" * 1000)}).encode()
    assert lift(text) == (text, {})


def test_many() -> None:
    contents = [bytes([number]) * LONG for number in range(20)]
    left, files = lift(json.dumps([long(content) for content in contents]).encode())
    assert [files[mark].content for mark in json.loads(left)] == contents
