"""The record of one prediction: what has happened to it so far, and how clients see that."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from json.encoder import encode_basestring
from math import isfinite
from typing import Final, NamedTuple, Protocol, TypeAlias

from cog.prediction.chunks import Chunks
from cog.prediction.events import TERMINAL, Done, Event, Log, Metric, Output, Started, Status
from cog.prediction.history import CAPACITY, History
from cog.prediction.logs import LogText
from cog.prediction.metrics import Meter
from cog.prediction.states import following

_log: Final = logging.getLogger("cog.prediction")

_text: Final[Callable[[str], str]] = encode_basestring
_object: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Listener(Protocol):
    """Somebody who wants to know what happens to a prediction. It must return at once and must not raise."""

    def notice(self, prediction: Prediction, event: Event) -> None:
        """`event` has just been applied to `prediction`."""


# Listeners of every prediction, by what they want to know of: models yield a million chunks, of which most have nothing to say.
Standing: TypeAlias = Mapping[type[Event], tuple[Listener, ...]]
NOBODY: Final[Standing] = {}


class Timings(NamedTuple):
    """Seconds that a prediction spent beside the model, and how many there were in its call of a model that takes batches.
    What is zero is not shown."""

    queue_time: float = 0.0
    download_time: float = 0.0
    upload_time: float = 0.0
    batch_size: int = 0


NO_TIMINGS: Final = Timings()
_WORDS: Final = {status: status.value for status in Status}  # an Enum's value costs ten times as much
_NO_CHUNKS: Final = Chunks()
_NO_LOGS: Final = LogText()
_EMPTY: Final = '""'
_PROCESSING: Final = Status.PROCESSING


class Prediction:
    """What is known of one prediction. Events are applied in order; a terminal state refuses every further one.

    Chunks and logs are only appended to, and joined when somebody looks, so that a stream of n chunks costs O(n).
    """

    __slots__ = (
        "_capacity", "_history", "_meter", "_recorded", "_rendered", "_result", "_standing", "chunks", "completed_at",
        "created_at", "error", "id", "input", "listeners", "logs", "metrics", "place", "started_at", "status", "streams",
        "timings", "version",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        input: bytes,
        *,
        created_at: float,
        streams: bool,
        version: str | None = None,
        capacity: int = CAPACITY,
        standing: Standing = NOBODY,
    ) -> None:
        """`input` is the JSON text that clients may see (secrets masked, long data URLs cut); `streams` says that
        the output is a list of the chunks that the model yields; `capacity` is for the `History`; `standing` are told before
        its own listeners, who are told everything."""
        self.id = id
        self.input = input
        self.created_at = created_at
        self.streams = streams
        self.version = version
        self.status = Status.STARTING
        self.started_at: float | None = None
        self.completed_at: float | None = None
        self.chunks = _NO_CHUNKS  # of its own when there is something to put in
        self.logs = _NO_LOGS
        self.error: str | None = None
        self.metrics: dict[str, object] = {}
        self._meter: Meter | None = None
        self._recorded: dict[str, object] | None = (
            None  # once it has ended: the metrics without those of the end
        )
        self._capacity = capacity
        self._history: History | None = None  # most predictions tell nothing before their end
        self.timings = NO_TIMINGS
        self.place: Callable[[], int | None] | None = None  # where it stands in the queue, while it is in one
        self.listeners: list[Listener] = []
        self._standing = standing
        self._result: bytes | None = None
        self._rendered: bytes | None = None

    def publish(self, event: Event) -> None:
        """Apply `event`, then tell every listener; what one of them raises is logged.

        Raises:
            StateError: the event cannot follow; nothing was changed and nobody told.
        """
        self.apply(event)
        standing = self._standing.get(type(event))
        for listener in self.listeners if standing is None else (*standing, *self.listeners):
            try:
                listener.notice(self, event)
            except Exception:  # noqa: BLE001
                # A fault of ours. The others, a waiting client among them, have to know all the same.
                _log.exception("prediction %s: a listener failed", self.id)

    def apply(self, event: Event) -> None:
        """Take `event` into the record.

        Raises:
            StateError: the event cannot follow; nothing was changed.
        """
        if type(event) is Output and self.status is _PROCESSING:  # first, since models yield a million chunks
            if self.chunks is _NO_CHUNKS:
                self.chunks = Chunks()
            self.chunks.append(event.payload)
            (self._history or self.history).add(event.payload)
            return
        status = following(self.status, event)
        if type(event) is Started:
            self.started_at = event.at
        elif type(event) is Done:
            self._end(event)
        elif type(event) is Log:
            self._print(event)
        elif type(event) is Metric:
            self._record(event)
        self.status = status

    def _print(self, log: Log) -> None:
        if self.logs is _NO_LOGS:
            self.logs = LogText()
        self.logs.append(log.text)
        self.history.add(log)

    def _record(self, metric: Metric) -> None:
        if self._meter is None:
            self._meter = Meter()
        notice = self._meter.record(self.metrics, metric)
        if notice is None:
            self.history.add(metric)
        elif notice:
            self._print(Log(notice, "stderr"))

    @property
    def history(self) -> History:
        """What it has told so far, for those who read its events."""
        if self._history is None:
            self._history = History(self._capacity)
        return self._history

    def _end(self, event: Done) -> None:
        self.completed_at = event.at
        self.error = event.error
        self._result = event.payload
        self._recorded, self.metrics = self.metrics, self.metrics.copy()
        if self.timings is not NO_TIMINGS:
            for name, value in zip(Timings._fields, self.timings, strict=True):
                if value:
                    self.metrics.setdefault(name, value)  # a figure of the model's own is not replaced
        if event.predict_time is not None:
            self.metrics["predict_time"] = event.predict_time

    def output(self) -> bytes:
        """The output so far as JSON text: the list of chunks for a model that yields, `null` before a result."""
        if self._result is not None:
            return self._result
        if self.chunks or (self.streams and self.status is Status.SUCCEEDED):
            return bytes(self.chunks)
        return b"null"

    def render(self, status: Status | None = None) -> bytes:
        """The prediction as clients see it: one JSON object, its keys in the order of the contract.

        With `status` the record is shown as it stood in that earlier, unfinished state (a webhook that was held back
        by the throttle tells of the output, not of the end).
        """
        if self._rendered is not None and status is None:
            return self._rendered
        ended = status is None
        metrics = self._shown_metrics() if ended or self._recorded is None else self._recorded
        version = "" if self.version is None else f'"version":{_text(self.version)},'
        head = f'{{"id":"{self.id}",{version}"input":'
        tail = (
            f',"logs":{_EMPTY if self.logs is _NO_LOGS else _text(str(self.logs))}'
            f',"error":{_text(self.error) if ended and self.error is not None else "null"}'
            f',"status":"{_WORDS[status or self.status]}"'
            f',"metrics":{_json(metrics) if metrics else "{}"}'
            f',"created_at":{timestamp(self.created_at)}'
            f',"started_at":{timestamp(self.started_at)}'
            f',"completed_at":{timestamp(self.completed_at) if ended else "null"}}}'
        )
        body = b"".join((_utf8(head), self.input, b',"output":', self.output(), _utf8(tail)))
        if ended and self.status in TERMINAL:
            self._rendered = body  # nothing changes any more; the client and the store get the same bytes
        return body

    def _shown_metrics(self) -> dict[str, object]:
        """Those of the model and ours; while it waits for a slot its position in the queue, 1 for the next."""
        position = None if self.place is None else self.place()
        return self.metrics if position is None else {"queue_position": position, **self.metrics}

    def summary(self) -> bytes:
        """The prediction in a list of predictions: without input, output and logs."""
        error = "null" if self.error is None else _text(self.error)
        return _utf8(
            f'{{"id":"{self.id}","error":{error},"status":"{self.status.value}"'
            f',"metrics":{_json(self._shown_metrics())}'
            f',"created_at":{timestamp(self.created_at)},"started_at":{timestamp(self.started_at)}'
            f',"completed_at":{timestamp(self.completed_at)}}}'
        )


def _utf8(text: str) -> bytes:
    """Half of a character, as the name of a file may have it, has no UTF-8: it is replaced."""
    return text.encode("utf-8", "replace")


def _json(metrics: dict[str, object]) -> str:
    """As text. Of most there are nothing but figures, for which to make an encoder would cost more than all the rest."""
    parts = []
    for name, value in metrics.items():
        if type(value) is not int and not (type(value) is float and isfinite(value)):
            return _object(metrics)
        parts.append(f"{_text(name)}:{value!r}")
    return f"{{{','.join(parts)}}}"


_second: tuple[int, str] = (-1, "")


def timestamp(at: float | None) -> str:
    """RFC 3339 in UTC with microseconds, as JSON text; `null` for None."""
    if at is None:
        return "null"
    global _second
    whole = int(at)
    second, text = _second
    if second != whole:  # formatting a date costs 2 us, and most calls are within the same second
        text = datetime.fromtimestamp(whole, timezone.utc).strftime('"%Y-%m-%dT%H:%M:%S')
        _second = whole, text
    return '%s.%06dZ"' % (text, (at - whole) * 1_000_000)  # noqa: UP031  the quickest
