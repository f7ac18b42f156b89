"""multipart/form-data (RFC 7578, RFC 2046 section 5.1), read as it comes. No I/O."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias

from cog.errors import RequestError, UnsupportedMediaType

# Bytes of the fields above a part, and parts of one form.
_MOST_HEAD: Final = 8 * 1024
_MOST_PARTS: Final = 100
# Spaces behind a boundary, which RFC 2046 allows.
_MOST_PADDING: Final = 64

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PARAMETER: Final = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')


class Part(NamedTuple):
    """The beginning of a field of the form. A field without a `filename` is a text."""

    name: str
    filename: str | None
    media_type: str | None


# A part begins, or these are the next bytes of the one that has begun.
Piece: TypeAlias = Part | bytes


class _Stage(Enum):
    BODY = auto()  # or what stands above the first boundary
    BOUNDARY = auto()
    HEAD = auto()
    OVER = auto()


def boundary_of(content_type: str | None) -> bytes:
    """What stands between the parts.

    Raises:
        UnsupportedMediaType: this is not the Content-Type of a form with files.
    """
    kind, _, rest = (content_type or "").partition(";")
    found = _parameters(";" + rest).get("boundary", "")
    if kind.strip().lower() != "multipart/form-data" or _BOUNDARY.fullmatch(found) is None:
        raise UnsupportedMediaType(
            "expected a body with Content-Type: multipart/form-data; boundary=..., as `curl -F` sends it"
        )
    return found.encode()


class Form:
    """Makes pieces out of bytes, however these are cut."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._held = b"\r\n"  # so the first boundary is like all others
        self._stage = _Stage.BODY
        self._parts = 0

    def feed(self, data: bytes) -> list[Piece]:
        """What is known by now.

        Raises:
            RequestError: this is no form.
        """
        self._held += data
        pieces: list[Piece] = []
        while self._read(pieces):
            pass
        return pieces

    def end(self) -> None:
        """No more bytes come.

        Raises:
            RequestError: the form is not complete.
        """
        if self._stage is not _Stage.OVER:
            raise RequestError(
                "the form ends before its last boundary: a part of the request body is missing"
            )

    def _read(self, pieces: list[Piece]) -> bool:
        """Take one step; False when it needs more bytes."""
        match self._stage:
            case _Stage.BODY:
                return self._read_body(pieces)
            case _Stage.BOUNDARY:
                return self._read_boundary()
            case _Stage.HEAD:
                return self._read_head(pieces)
            case _Stage.OVER:
                self._held = b""
                return False

    def _read_body(self, pieces: list[Piece]) -> bool:
        at = self._held.find(self._delimiter)
        safe = at if at >= 0 else max(0, len(self._held) - len(self._delimiter) + 1)
        if safe and self._parts:
            pieces.append(self._held[:safe])
        if at < 0:
            self._held = self._held[safe:]
            return False
        self._held = self._held[at + len(self._delimiter) :]
        self._stage = _Stage.BOUNDARY
        return True

    def _read_boundary(self) -> bool:
        """What stands behind a boundary: the end of its line, which is left for the head, or of the form."""
        if self._held.startswith(b"--"):
            self._stage = _Stage.OVER
            return True
        at = self._held.find(b"\r\n")
        padding = self._held if at < 0 else self._held[:at]
        if len(padding) > _MOST_PADDING or padding.strip(b" \t\r-"):
            raise RequestError("the form has something behind a boundary that does not belong there")
        if at < 0:
            return False
        self._held = self._held[at:]
        self._stage = _Stage.HEAD
        return True

    def _read_head(self, pieces: list[Piece]) -> bool:
        at = self._held.find(b"\r\n\r\n")
        if at > _MOST_HEAD or (at < 0 and len(self._held) > _MOST_HEAD):
            raise RequestError(f"a part of the form has more than {_MOST_HEAD:,} bytes of fields above it")
        if at < 0:
            return False
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise RequestError(f"the form has more than {_MOST_PARTS} parts")
        pieces.append(_part(self._held[:at].decode("utf-8", "replace")))
        self._held = self._held[at + 4 :]
        self._stage = _Stage.BODY
        return True


def _part(head: str) -> Part:
    fields = dict(_field(line) for line in head.split("\r\n") if line)
    disposition = fields.get("content-disposition", "")
    found = _parameters(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in found:
        raise RequestError('a part of the form lacks Content-Disposition: form-data; name="..."')
    return Part(found["name"], found.get("filename"), fields.get("content-type"))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _parameters(text: str) -> dict[str, str]:
    """The parameters of a field; a browser writes a quote as %22, others as \\"."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted).replace("%22", '"') if quoted else token
        for name, quoted, token in _PARAMETER.findall(text)
    }
