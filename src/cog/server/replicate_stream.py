"""The events of a prediction in the words of Replicate's streams: `output`, `logs`, `error`, `done`, their data plain text.

Its client knows no other events, and no stream that has lost something: what is not held any more is told from the record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from cog.prediction.events import Log, Metric
from cog.prediction.history import STARTED, Place, Told
from cog.server.events import Script
from cog.server.stream import Broadcast

# What is nothing to this client still has to be something: see `Broadcast.following`.
_NOTHING: Final = b": \n\n"
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


class _End(msgspec.Struct, gc=False):
    """What is read of an ended prediction."""

    status: str
    error: str | None = None


_REASONS: Final = {"failed": '{"reason":"error"}', "canceled": '{"reason":"canceled"}'}


class PlainScript(Script):
    """Writes the events of one run."""

    def start(self) -> bytes:
        """The client has no word for this."""
        return _NOTHING

    def events(self, events: Iterable[Told], place: Place) -> tuple[list[bytes], Place]:
        """Those that follow `place`, and the place behind them."""
        parts: list[bytes] = []
        for event in events:
            place = place.past(event)
            match event:
                case bytes():
                    parts.append(self._told("output", _text_of(event), place))
                case Log(text):
                    parts.append(self._told("logs", text, place))
                case Metric():
                    parts.append(_NOTHING)
        return [b"".join(parts)] if parts else [], place

    def completed(self, body: bytes) -> tuple[bytes, ...]:
        """The end; `body` is the prediction as clients of ours see it."""
        try:
            end = msgspec.json.decode(body, type=_End)
        except (msgspec.MsgspecError, RecursionError):
            end = _End("succeeded")  # its output is nested too deep to be passed over
        event_id = f"{self._run}-end"
        done = _event("done", _REASONS.get(end.status, "{}"), event_id)
        return (done,) if end.error is None else (_event("error", end.error, event_id), done)

    def _told(self, name: str, text: str, place: Place) -> bytes:
        return _event(name, text, f"{self._run}-{place.events}-{place.chunks}-{place.characters}")


class PlainBroadcast(Broadcast):
    """Tells everybody everything, also who comes late or is slow."""

    language = PlainScript

    def _entry(self, last_id: str | None) -> tuple[Place, int]:
        place = self._script.place_of(last_id)
        if place is None or place.events > self._prediction.history.count:
            place = Place()
        return place, 0

    def recall(self, place: Place) -> tuple[list[bytes], Place]:
        """The chunks that are not held any more as events, from the record, and the logs before them in one."""
        begin = self._prediction.history.begin
        told: list[Told] = []
        if place.characters < begin.characters:
            told.append(Log(str(self._prediction.logs)[place.characters : begin.characters], "stdout"))
        first, text = self._prediction.chunks.around(place.chunks)
        chunks = _taken_apart(text)[place.chunks - first : begin.chunks - first]
        told += chunks
        start = Place(max(place.events, STARTED.events), place.chunks, place.characters)
        parts, behind = self._script.events(told, start)
        if behind.chunks >= begin.chunks or not chunks:
            behind = begin
        return parts or [_NOTHING], behind._replace(characters=begin.characters)


def _taken_apart(text: bytes) -> list[bytes]:
    """The chunks in a JSON list."""
    try:
        return [bytes(chunk) for chunk in _decode_list(text)]
    except RecursionError:
        return [text[1:-1]]  # only a large one can be nested so deep, and that is alone


def _text_of(payload: bytes) -> str:
    """A text as it is, anything else as JSON."""
    return _decode_text(payload) if payload.startswith(b'"') else payload.decode()


def _event(name: str, text: str, event_id: str) -> bytes:
    """Each line of the text is a line of data: so the client puts it together again (WHATWG HTML, section 9.2)."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.replace("\n", "\ndata: ")
    return f"event: {name}\nid: {event_id}\ndata: {data}\n\n".encode("utf-8", "replace")
