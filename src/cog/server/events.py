"""How the events of a prediction stand on the wire: server-sent events (WHATWG HTML, section 9.2).

The id of an event is the place behind it: `RUN-EVENTS-CHUNKS-CHARACTERS`, and `RUN-end` behind the last one. So a client
that comes back with `Last-Event-ID` goes on exactly there, also when all that is left is the record of the ended prediction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from cog.prediction.events import Log, Metric
from cog.prediction.history import Place, Told

KEEP_ALIVE: Final = b": keep-alive\n\n"
# From the contract; clients compare them.
TRUNCATED: Final = "SSE stream replay truncated; events were dropped"
LAGGED: Final = "SSE stream lagged; events were dropped"

# A chunk of output over this many bytes is handed on as it is, all else in one piece.
_LARGE: Final = 64 * 1024

_CHUNK: Final = b'event: output\ndata: {"chunk":%b,"index":%d}\nid: %b-%d-%d-%d\n\n'
_text: Final = json.JSONEncoder(ensure_ascii=False).encode
_ID: Final = re.compile(r"([0-9a-f]{1,16})-(?:end|([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,15}))", re.ASCII)


class Script:
    """Writes the events of one run of a prediction.

    Large chunks are parts of their own, so that they are not copied for each reader.
    """

    def __init__(self, prediction_id: str, created_at: float) -> None:
        """`created_at`, in seconds since the epoch, tells this run from another one under the same id."""
        self._prediction_id = prediction_id
        self._run = f"{int(created_at * 1_000_000):x}"

    def start(self) -> bytes:
        """The prediction is processed."""
        data = f'{{"id":"{self._prediction_id}","status":"processing"}}'
        return f"event: start\ndata: {data}\nid: {self._run}-1-0-0\n\n".encode()

    def events(self, events: Iterable[Told], place: Place) -> tuple[list[bytes], Place]:
        """Those that follow `place`, and the place behind them."""
        parts: list[bytes] = []
        small: list[bytes] = []
        run = self._run.encode()
        count, chunks, characters = place
        for event in events:
            count += 1
            if type(event) is bytes:
                chunks += 1
                if len(event) <= _LARGE:
                    small.append(_CHUNK % (event, chunks - 1, run, count, chunks, characters))
                    continue
                parts += (b"".join((*small, b'event: output\ndata: {"chunk":')), event)
                small = [b',"index":%d}' % (chunks - 1)]
            elif type(event) is Log:
                characters += len(event.text)
                data = f'event: log\ndata: {{"data":{_text(event.text)},"source":"{event.source}"}}'
                small.append(data.encode("utf-8", "replace"))
            elif type(event) is Metric:
                small.append(_metric(event))
            small.append(b"\nid: %b-%d-%d-%d\n\n" % (run, count, chunks, characters))
        if small:
            parts.append(b"".join(small))
        return parts, Place(count, chunks, characters)

    def returned(self, payload: bytes, place: Place) -> list[bytes]:
        """What a model has put out that does not yield: as a chunk, so that every model's output is among the events."""
        return [] if payload == b"null" else self.events((payload,), place)[0]

    def completed(self, body: bytes) -> tuple[bytes, ...]:
        """The end; `body` is the prediction as clients see it. An input is in it as it was sent, perhaps on many lines."""
        if b"\n" in body or b"\r" in body:
            body = body.replace(b"\r", b" ").replace(b"\n", b" ")
        return b"event: completed\ndata: ", body, f"\nid: {self._run}-end\n\n".encode()

    def place_of(self, event_id: str | None) -> Place | None:
        """The place that the id of an event names; None when it is of another run, or nothing that we have sent."""
        found = None if event_id is None else _ID.fullmatch(event_id)
        if found is None or found[1] != self._run or found[2] is None:
            return None
        return Place(int(found[2]), int(found[3]), int(found[4]))

    def is_end(self, event_id: str | None) -> bool:
        """True for the id of the last event."""
        return event_id == f"{self._run}-end"


def error(text: str, skipped: int) -> bytes:
    """The stream ends here, without the end of the prediction. It has no id: the last one stays that of what was had."""
    return f'event: error\ndata: {{"error":{_text(text)},"skipped":{skipped}}}\n\n'.encode()


def _metric(metric: Metric) -> bytes:
    shown = {"name": metric.name, "value": metric.value, "mode": metric.mode}
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    return b"event: metric\ndata: " + text.encode("utf-8", "replace")
