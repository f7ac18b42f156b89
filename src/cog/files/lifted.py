"""Long data URLs are lifted out of a JSON text before it is read: what is left is short, whatever they hold."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from cog.files.data_url import DataUrl, DataUrlError, from_base64, read_header

# A text with fewer characters is read where it stands.
LONG: Final = 64 * 1024

_BEGIN: Final = b'"data:'
_LONGEST_HEADER: Final = 4096
# A multiple of four characters, so that the contents of the pieces can be put together; and small enough for malloc to use
# the same memory for each of them (see `server/memory.py`): new memory costs more than what is done with it.
_PIECE: Final = 64 * 1024

# Twice as quick as binascii, and as strict, but for the end of a piece; see `_whole`.
_quick: Final = msgspec.json.Decoder(bytes).decode


class Lifted(NamedTuple):
    """`text` has a short data URL in the place of each of `files`, by which it is found there. Nobody can guess it."""

    text: bytes
    files: Mapping[str, DataUrl]


def lift(text: bytes) -> Lifted:
    """Lift the long data URLs in base64 out of `text`. Each is decoded once.

    `text` need not be JSON: what takes their places is as good or as bad as they are. What is no data URL, or holds an
    escape, stays; so nothing is refused here.
    """
    name = os.urandom(16).hex()
    files: dict[str, DataUrl] = {}
    pieces: list[bytes | memoryview] = []
    view, done, at = memoryview(text), 0, text.find(_BEGIN)
    while at >= 0:
        start = at + 1
        end = text.find(b'"', start)
        if end - start >= LONG and (file := _read(text, start, end)) is not None:
            mark = f"data:;{name}-{len(files)},"
            files[mark] = file
            pieces += [view[done:start], mark.encode()]
            done = end
        at = text.find(_BEGIN, max(end, start))
    return Lifted(b"".join([*pieces, view[done:]]) if files else text, files)


def _read(text: bytes, start: int, end: int) -> DataUrl | None:
    """The data URL in `text[start:end]`, where no quote is; None for anything else."""
    comma = text.find(b",", start, start + _LONGEST_HEADER)
    header = text[start : comma + 1].decode("latin-1")
    if comma < 0 or not (header.isascii() and header.isprintable()) or "\\" in header:
        return None
    try:
        media_type, base64, _ = read_header(header)
        return DataUrl(media_type, _decoded(text, comma + 1, end)) if base64 else None
    except (DataUrlError, msgspec.MsgspecError):
        return None


def _decoded(text: bytes, start: int, end: int) -> bytes:
    content = io.BytesIO()  # gives what was written without another copy
    view = memoryview(text)
    last = start + (end - start - 1) // _PIECE * _PIECE
    for at in range(start, last, _PIECE):
        content.write(_whole(view[at : at + _PIECE]))
    rest = text[last:end]
    if b"%" in rest:
        raise DataUrlError("a character of it is written as %XX")
    content.write(from_base64(rest.decode("latin-1"), 0))
    return content.getvalue()


def _whole(piece: memoryview) -> bytes:
    """The content of a piece that is not the last one, so that nothing pads it."""
    content: bytes = _quick(b"".join((b'"', piece, b'"')))
    if len(content) * 4 != len(piece) * 3:
        raise DataUrlError("its base64 has an end in the middle")
    return content
