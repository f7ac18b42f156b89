"""Answers that came compressed although nobody asked for that: decoded piece by piece, so that a small answer
cannot fill the memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from cog.net.errors import NetError

# As much comes out at once, whatever went in: deflate can grow a thousandfold.
_PIECE: Final = 1024 * 1024
_GZIP: Final = 31  # zlib's way to say: with the header of gzip
_ZLIB: Final = 15
_RAW: Final = -15


class Inflater:
    """The decoder of one answer."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is what the answer's Content-Encoding says.

        Raises:
            NetError: nothing here can decode that.
        """
        name = encoding.strip().lower()
        if name not in ("gzip", "x-gzip", "deflate"):
            raise NetError(
                f"the answer is compressed in a way that was not asked for (Content-Encoding: {name[:40]!r})",
                retryable=False,
            )
        self._bits: int | None = None if name == "deflate" else _GZIP
        self._inflate = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` gives, in pieces of up to 1 MiB.

        Raises:
            NetError: it is not compressed as the answer said.
        """
        if not self._begun and data:
            self._begin(data)
        while data:
            try:
                piece = self._inflate.decompress(data, _PIECE)
            except zlib.error as error:
                raise NetError("the compressed answer is damaged") from error
            yield piece
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._inflate.unused_data
                if not data or self._bits != _GZIP:
                    return
                self._inflate = zlib.decompressobj(_GZIP)  # gzip files may be put one behind the other

    def end(self) -> Iterator[bytes]:
        """The last piece.

        Raises:
            NetError: something is missing.
        """
        if self._begun:
            yield self._inflate.flush()
        if not self._inflate.eof and self._begun:
            raise NetError("the compressed answer ended too early")

    def _begin(self, data: bytes) -> None:
        self._begun = True
        if self._bits is None:
            # "deflate" means zlib's format (RFC 9110, section 8.4.1.2), but some servers send it bare. In zlib's the
            # low half of the first byte is 8.
            self._bits = _ZLIB if data[0] & 0x0F == 8 else _RAW
            self._inflate = zlib.decompressobj(self._bits)
