"""Frames: what crosses the channel between the server and a worker.

A frame is two lengths (unsigned 32-bit, big-endian), a small JSON header and an opaque payload. Nothing in a payload
is looked at by the channel, so that no depth, size or number in a model's output can break it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Generator
from typing import Final, NamedTuple, TypeAlias

from cog.errors import ProtocolError

Header: TypeAlias = dict[str, object]

LENGTHS: Final = struct.Struct("!II")
# Headers hold ids, texts of errors and lists of files; payloads hold what the model made (4 GiB by the format).
MAX_HEADER: Final = 64 * 1024 * 1024

# Bytes of a header that is remembered.
_SMALL: Final = 256

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode


class Frame(NamedTuple):
    """One message: `kind` and its facts in `header`, bytes nobody on the way looks at in `payload`."""

    header: Header
    payload: bytes


def pack(header: bytes, payload: bytes = b"") -> bytes:
    """The bytes of one frame; `header` is the text that `header_text` makes."""
    return LENGTHS.pack(len(header), len(payload)) + header + payload


def header_text(header: Header) -> bytes:
    """A header as JSON text in ASCII."""
    return _encode(header).encode("ascii")


class FrameReader:
    """Cuts a stream of bytes into frames; what is incomplete waits for more.

    A large payload arrives in many pieces: they are collected in one growing buffer, never joined again and again. What
    comes whole is never copied before it is cut.
    """

    def __init__(self, quick: Callable[[bytes], Header | None] = lambda _: None) -> None:
        """`quick` reads headers as they mostly are; what gives None is read as JSON."""
        self._quick = quick
        self._buffer = bytearray()  # of a frame that has begun: what is whole is read where it came
        self._wanted = LENGTHS.size
        self._rest = b""  # of what was not asked for, since an exception has come in between
        # The last small one, and what it says: all chunks of an output have the same, which nobody changes.
        self._head: bytes | None = None
        self._header: Header = {}

    @property
    def empty(self) -> bool:
        """True when no part of a frame is waiting."""
        return not (self._buffer or self._rest)

    def feed(self, data: bytes) -> Generator[Frame, None, None]:
        """Take `data`, give the frames that are now complete. Those before a break of the protocol are given too.

        Raises:
            ProtocolError: the stream is not made of frames.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        start, size, small, unpack = 0, len(data), LENGTHS.size, LENGTHS.unpack_from
        try:
            while self._buffer:
                start += self._fill(data, start)
                if len(self._buffer) < self._wanted:
                    return
                self._wanted, middle = _measured(self._buffer, 0)
                if len(self._buffer) == self._wanted:
                    yield self._filled(middle)
            while size - start >= small:
                head_size, payload_size = unpack(data, start)
                if head_size > MAX_HEADER:
                    raise _too_large(head_size)
                middle = start + small + head_size
                end = middle + payload_size
                if end > size:
                    break
                head, payload = data[start + small : middle], data[middle:end]
                start = end
                yield Frame(self._header if head == self._head else self._read(head), payload)
            self._buffer += memoryview(data)[start:]
            start = size
        finally:
            self._rest = data[start:]

    def _fill(self, data: bytes, start: int) -> int:
        """Put what the frame that has begun lacks into the buffer: first its lengths, then all. Gives how much."""
        before = len(self._buffer)
        self._buffer += memoryview(data)[start : start + max(0, self._wanted - before)]
        return len(self._buffer) - before

    def _filled(self, middle: int) -> Frame:
        """The frame that the buffer holds, which is empty then; its header ends at `middle`."""
        buffer = self._buffer
        head, payload = bytes(buffer[LENGTHS.size : middle]), bytes(memoryview(buffer)[middle:])
        buffer.clear()
        self._wanted = LENGTHS.size
        return Frame(self._header if head == self._head else self._read(head), payload)

    def _read(self, head: bytes) -> Header:
        header = self._quick(head) or _header(head)
        if len(head) <= _SMALL:
            self._head, self._header = head, header
        return header


def _measured(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """Where a frame ends that begins at `start`, and where its header does.

    Raises:
        ProtocolError: its header is too large.
    """
    head_size, payload_size = LENGTHS.unpack_from(data, start)
    if head_size > MAX_HEADER:
        raise _too_large(head_size)
    middle = start + LENGTHS.size + head_size
    return middle + payload_size, middle


def _too_large(size: int) -> ProtocolError:
    return ProtocolError(f"a frame header of {size} bytes is over the limit of {MAX_HEADER}")


def _header(text: bytes) -> Header:
    try:
        header, _ = _decode(text.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame header is not JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise ProtocolError("a frame header is not an object with a kind")
    return header
