"""Data URLs (RFC 2397): a file's content within a text."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

# Texts of 32 MiB come through here. Each pass is one call into C; between the pieces other threads can run.
_PIECE: Final = 1024 * 1024
# A multiple of three bytes, so that the pieces' base64 can be put together; small enough for malloc to use the same memory
# for each of them.
ENCODE_PIECE: Final = 3 * 16 * 1024
_LONGEST_HEADER: Final = 4096

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+*'`|~%-]+/[A-Za-z0-9!#$&^_.+*'`|~%-]+")
_DEFAULT_TYPE: Final = "text/plain"  # RFC 2397, section 2


class DataUrlError(ValueError):
    """The text is not a data URL; the message says what is wrong and shows nothing of the content."""


class DataUrl(NamedTuple):
    """What a data URL holds; `media_type` is in lower case and without parameters."""

    media_type: str
    content: bytes


class Header(NamedTuple):
    """What a data URL says of its content; `size` is the content's in bytes, approximately for percent
    form."""

    media_type: str
    base64: bool
    size: int


def is_data_url(text: str) -> bool:
    """True when `text` begins as a data URL, in any case."""
    return text[:5].lower() == "data:"


def parse(text: str) -> DataUrl:
    """The content of a data URL.

    base64 may be of the standard or the URL-safe alphabet, with or without its padding, never with
    whitespace.

    Raises:
        DataUrlError: the text is not a data URL.
    """
    media_type, base64, start = read_header(text)
    return DataUrl(media_type, from_base64(text, start) if base64 else _from_percent(text[start:]))


def header(text: str) -> Header:
    """What a data URL says of its content, which is not decoded.

    Raises:
        DataUrlError: the text does not begin as a data URL does.
    """
    media_type, base64, start = read_header(text)
    size = len(text) - start
    if base64:
        padding = text.count("=", max(start, len(text) - 2))
        return Header(media_type, True, (size - padding) * 3 // 4)
    return Header(media_type, False, size - 2 * text.count("%", start))


def shorten(text: str) -> str:
    """A data URL for people: `data:image/png;base64,... (3.2 MiB)`. Never raises."""
    try:
        media_type, base64, size = header(text)
    except DataUrlError:
        return f"{text[:5]}... ({_amount(len(text))})"
    return f"data:{media_type}{';base64' if base64 else ''},... ({_amount(max(size, 0))})"


def described(url: DataUrl) -> str:
    """What `shorten` says of a data URL in base64 with this content."""
    return f"data:{url.media_type};base64,... ({_amount(len(url.content))})"


def encode(content: bytes | memoryview, media_type: str) -> bytes:
    """The data URL of `content`, in standard base64 with padding, as ASCII. An unusable media type is not
    named."""
    return b"".join((prefix(media_type), *base64_pieces(content)))


def prefix(media_type: str) -> bytes:
    """The beginning of a data URL, up to its content."""
    usable = media_type if _TYPE.fullmatch(media_type) else "application/octet-stream"
    return f"data:{usable};base64,".encode()


def base64_pieces(content: bytes | memoryview) -> Iterator[bytes]:
    """The base64 of `content`, piece by piece."""
    view = memoryview(content)
    for start in range(0, len(view), ENCODE_PIECE):
        yield binascii.b2a_base64(view[start : start + ENCODE_PIECE], newline=False)


def read_header(text: str) -> tuple[str, bool, int]:
    """The media type, whether the content is base64, and where the content begins.

    Raises:
        DataUrlError: the text does not begin as a data URL does.
    """
    if not is_data_url(text):
        raise DataUrlError("it does not begin with data:")
    comma = text.find(",", 5, 5 + _LONGEST_HEADER)
    if comma < 0:
        raise DataUrlError(
            "no comma ends its header. A data URL is data:<media type>;base64,<content>, "
            "for example data:text/plain;base64,aGVsbG8="
        )
    media_type, *parameters = text[5:comma].split(";")
    base64 = bool(parameters) and parameters[-1].strip().lower() == "base64"
    media_type = media_type.strip()
    if media_type and not _TYPE.fullmatch(media_type):
        raise DataUrlError("what stands before its comma is not a media type such as image/png")
    return media_type.lower() or _DEFAULT_TYPE, base64, comma + 1


def from_base64(text: str, start: int) -> bytes:
    """What the base64 in `text` from `start` on holds.

    Raises:
        DataUrlError: it is none; the text says where.
    """
    if text.find("%", start) >= 0:  # it is a URL, so any character of it may be written as %XX
        text, start = _from_percent(text[start:]).decode("latin-1"), 0
    end = len(text)
    while end > start and text[end - 1] == "=":
        end -= 1
    pieces = [(text[at : min(at + _PIECE, end)], at - start) for at in range(start, end, _PIECE)]
    if (problem := _wrong_length(end - start, len(text) - end)) is not None:
        for piece, offset in pieces:  # a wrong character says more than the length that comes of it
            _letters(piece, offset)
        raise DataUrlError(problem)
    return b"".join(_decoded(piece, offset) for piece, offset in pieces)


def _wrong_length(letters: int, padding: int) -> str | None:
    if padding > 2 or (padding and (letters + padding) % 4):
        return "its base64 has the wrong padding; the content may be cut off"
    if letters % 4 == 1:
        return "its base64 has a length that no content gives; it may be cut off"
    return None


def _letters(piece: str, offset: int) -> bytes:
    # "replace" makes a question mark of what is not ASCII, which is no letter of base64 either.
    raw = piece.encode("ascii", "replace")
    wrong = raw.translate(None, _BASE64)
    if wrong:
        at = raw.index(wrong[:1])
        raise DataUrlError(f"its base64 has the character {piece[at]!r} at position {offset + at}")
    return raw


def _decoded(piece: str, offset: int) -> bytes:
    raw = _letters(piece, offset)
    return binascii.a2b_base64(raw.translate(_TO_STANDARD) + b"=" * (-len(raw) % 4))


def _from_percent(text: str) -> bytes:
    # Python's own decoder of %XX works in Python, a second for 32 MiB. The one for \xXX works in C and is as
    # strict.
    try:
        raw = text.encode("utf-8").replace(b"\\", b"\\\\").replace(b"%", b"\\x")
        return raw.decode("unicode_escape").encode("latin-1")
    except UnicodeEncodeError:
        raise DataUrlError("it has half of a surrogate pair, which is not a character") from None
    except UnicodeDecodeError:
        raise DataUrlError("a % in it is not followed by two hexadecimal digits") from None


def _amount(size: int) -> str:
    if size < 1024:
        return f"{size} bytes"
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KiB"
    return f"{size / (1024 * 1024):.1f} MiB"
