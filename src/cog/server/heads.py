"""Heads of requests that are known already: a client sends the same one again and again, but for the length of its body."""

from __future__ import annotations

import re
from typing import Final

from cog.server.manner import Manner
from cog.server.wire import Scope

# Heads that are kept, bytes of the longest one, and heads that were seen once. When there are more of either all of them are
# forgotten: a client whose heads are never the same ones (a trace has an id of its own) must cost next to nothing.
_MOST: Final = 1024
_LONGEST: Final = 2048
_SEEN: Final = 4096

_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?(\d{1,9})(?=\r\n)", re.IGNORECASE)
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_FOLDED: Final = re.compile(rb"\n[ \t]")


class Known:
    """What a head says that was read before, whatever the length of the body."""

    __slots__ = ("_manner", "_scope", "path")

    def __init__(self, scope: Scope) -> None:
        """`scope` is that of the request it came with."""
        self._scope = {name: scope[name] for name in scope if name not in ("server", "client", "extensions")}
        self._scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        self.path: str = scope["path"]
        self._manner: Manner | None = None

    @property
    def manner(self) -> Manner:
        """How it wants to be answered."""
        if self._manner is None:
            self._manner = Manner.of(self._scope)
        return self._manner

    def scope(self, length: int, fixed: Scope) -> Scope:
        """The scope of a request of its own, with a body of so many bytes; `fixed` is what all of its connection have."""
        headers = [*self._scope["headers"], (b"content-length", b"%d" % length)]
        return {**self._scope, "headers": headers, **fixed}


class Heads:
    """Those of POST requests that come alone and whole in one piece, by their bytes without the line of the length; kept when
    they come for the second time.

    Only what the parser has read before is found here, byte for byte, and a line of digits between two other lines: so
    nothing is taken for a request that the parser would refuse, or would end in another place.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        # With their lines of the length, and what those say: to find them takes a fifth of the time.
        self._whole: dict[bytes, tuple[Known, int]] = {}
        self._seen: set[int] = set()  # their hashes

    def __len__(self) -> int:
        """How many are kept, each whatever the length of the body."""
        return len(self._known)

    def find(self, data: bytes) -> tuple[Known, bytes] | None:
        """The head and the body, if `data` is one whole request whose head is known."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, size = data[:end], len(data) - end - 4
        if (whole := self._whole.get(head)) is not None:
            known, length = whole
            return (known, data[end + 4 :]) if size == length else None
        found = _LENGTH.search(data, 0, end + 2)
        if found is None or size != int(found[1]):
            return None
        start, stop = found.span()
        similar = self._known.get(data[:start] + data[stop:end])
        if similar is None:
            return None
        if len(self._whole) >= _MOST:
            self._whole.clear()
        self._whole[head] = similar, size
        return similar, data[end + 4 :]

    def note(self, data: bytes, scope: Scope) -> None:
        """The parser has read `data` as exactly one request, after which the connection is kept."""
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end + 2)
        if length is None or end > _LONGEST or len(data) - end - 4 != int(length[1]):
            return
        key = data[: length.start()] + data[length.end() : end]
        if self._is_new(hash(key)):
            return
        if not key.startswith(b"POST "):  # the parser passes over empty lines in front
            return
        names = [name for name, _ in scope["headers"]]
        if b"expect" in names or sum(map(names.count, _FRAMING)) != 1:
            return
        if _FOLDED.search(key) is not None:  # a line that goes on in the next one
            return
        if len(self._known) >= _MOST:
            self._known.clear()
            self._whole.clear()
        self._known[key] = Known(scope)

    def _is_new(self, number: int) -> bool:
        if number in self._seen:
            return False
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen.add(number)
        return True
