"""Server-sent events out of bytes, as the HTML standard reads them (section 9.2.6, "Interpreting an event stream")."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_END_OF_LINE: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `id` is the newest id that the stream has told, empty before the first."""

    name: str
    data: str
    id: str


class Parser:
    """Takes the bytes of one stream in pieces of any size; an event that is cut off at the end is none.

    `last_id` is where another stream has to go on (Last-Event-ID): that of an event that was cut off does not count.
    """

    def __init__(self, last_id: str = "") -> None:
        """Nothing has come yet; `last_id` is that of the stream before."""
        self.last_id = self._id = last_id
        self._line: list[bytes] = []  # the pieces of a line that has not ended
        self._first = True
        self._after_return = False  # the last piece ended with CR: an LF that follows is of the same line end
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes."""
        if self._after_return and piece:
            piece, self._after_return = piece.removeprefix(b"\n"), False
        self._after_return = self._after_return or piece.endswith(b"\r")
        first, *more = _END_OF_LINE.split(piece)
        self._line.append(first)
        events = []
        for start in more:
            whole, self._line = b"".join(self._line), [start]
            event = self._take(whole)
            if event is not None:
                events.append(event)
        return events

    def _take(self, line: bytes) -> Event | None:
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None  # a comment has an empty name; `retry` and what is unknown says nothing to us

    def _dispatch(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        self.last_id = self._id
        return Event(name or "message", "\n".join(data), self.last_id) if data else None
