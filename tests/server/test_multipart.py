"""Forms, however their bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cog.errors import RequestError, UnsupportedMediaType
from cog.server.multipart import Form, Part, boundary_of

BOUNDARIES = st.from_regex(r"[0-9A-Za-z'()+_,\-./:=?]{1,20}", fullmatch=True)
NAMES = st.text(
    st.characters(exclude_characters='\r\n"\\\0%', exclude_categories=["Cs"]), min_size=1, max_size=8
)
# Contents that look like boundaries, or nearly so.
CONTENTS = st.one_of(st.binary(max_size=40), st.text("-\r\nb", max_size=12).map(str.encode))


def written(boundary: bytes, fields: list[tuple[str, str | None, bytes]]) -> bytes:
    parts = []
    for name, filename, content in fields:
        more = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: text/x'
        head = f'Content-Disposition: form-data; name="{name}"{more}'
        parts.append(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head.encode(), content))
    return b"".join(parts) + b"--" + boundary + b"--\r\n"


def read(boundary: bytes, body: bytes, cuts: list[int]) -> list[tuple[Part, bytes]]:
    form, found = Form(boundary), []
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        for piece in form.feed(body[start:end]):
            if isinstance(piece, Part):
                found.append((piece, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + piece)
    form.end()
    return found


@given(
    BOUNDARIES,
    st.lists(st.tuples(NAMES, st.none() | NAMES, CONTENTS), max_size=4),
    st.lists(st.integers(0, 10_000), max_size=20),
)
@example("b", [("a", None, b"--"), ("a", "x", b"\r\n--"), ("c", None, b"")], list(range(400)))
def test_what_is_written_is_read(
    boundary: str, fields: list[tuple[str, str | None, bytes]], cuts: list[int]
) -> None:
    mark = boundary.encode()
    # A boundary that is in a content is no boundary (RFC 2046, section 5.1.1).
    fields = [field for field in fields if b"\r\n--" + mark not in b"\r\n" + field[2] + b"\r\n"]
    expected = [
        (Part(name, filename, None if filename is None else "text/x"), content)
        for name, filename, content in fields
    ]
    assert read(mark, b"preamble\r\n" + written(mark, fields) + b"epilogue", cuts) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_anything_else_is_refused_or_read(body: bytes, cuts: list[int]) -> None:
    try:
        read(b"b", b"--b" + body, cuts)
    except RequestError:
        return


def test_a_large_part_is_handed_on_as_it_comes() -> None:
    form = Form(b"b")
    form.feed(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n')
    given = [b"\r\n--" * 1000, b"x" * 100_000]
    assert sum(len(piece) for data in given for piece in form.feed(data)) >= 104_000 - len("\r\n--b")


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (r'form-data; name="a\"b"; filename="c\\d"', Part('a"b', "c\\d", None)),
        ('form-data; name="a"; filename="%22b%22"', Part("a", '"b"', None)),
        ("Form-Data ;name=a;filename=b.txt", Part("a", "b.txt", None)),
    ],
)
def test_names_as_clients_write_them(head: str, part: Part) -> None:
    body = b"--b\r\ncontent-disposition: %b\r\n\r\n\r\n--b--" % head.encode()
    assert read(b"b", body, []) == [(part, b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n\r\n",
        b"--bx\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1',
        b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--",
        b'--b\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--b--',
        b"--b\r\n" + b"x" * 9000,
        b"--b" + b" " * 100,
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 101) + b"--b--",
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        read(b"b", body, [])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;charset=utf-8; Boundary="a b:c"', b"a b:c"),
    ],
)
def test_the_boundary(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=a",
        "multipart/form-data; boundary=" + "x" * 71,
    ],
)
def test_another_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType, match="multipart/form-data"):
        boundary_of(content_type)
