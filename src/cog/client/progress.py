"""What happens to a prediction, from its start to its end, told by whatever means the server has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from cog.client.events import Event, Parser
from cog.client.interface import Interface
from cog.client.model import RemoteModel
from cog.errors import ServerUnreachable

# Servers send a comment after 15 seconds of silence (contract, C2).
SILENCE: Final = 60.0
PAUSES: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds before the n-th try to read on
POLLS: Final = (0.05, 0.1, 0.2, 0.5)  # seconds between looks where there is no stream; the last one repeats
TERMINAL: Final = ("succeeded", "failed", "canceled")
_PIECE: Final = 1024 * 1024


class Chunk(NamedTuple):
    """One piece of an output that comes piece by piece; `position` counts from 0."""

    position: int
    value: Any


class Printed(NamedTuple):
    """Text that the model printed."""

    text: str


class Ended(NamedTuple):
    """The end: the prediction as the server shows it."""

    prediction: Mapping[str, Any]


Happening: TypeAlias = Chunk | Printed | Ended
_Cut: TypeAlias = Literal["try again", "no stream"]


class Follower:
    """Follows one prediction that was started. Every happening is told once, the end last."""

    def __init__(
        self, model: RemoteModel, interface: Interface, prediction_id: str, look: Callable[[], None]
    ) -> None:
        """`look` is called before every new try to reach the server; it may raise."""
        self._model = model
        self._interface = interface
        self._id = prediction_id
        self._look = look
        self._parser = Parser()
        self._chunks = 0
        self._printed = 0

    def happenings(self) -> Iterator[Happening]:
        """Until the end. The stream of events where there is one, else by asking again and again.

        Raises:
            ServerUnreachable: the server is gone.
            ModelFailed: it has forgotten the prediction.
        """
        for tries, pause in enumerate(PAUSES, 1):
            time.sleep(pause)
            try:
                cut = yield from self._stream()
            except ServerUnreachable:
                self._look()
                if tries == len(PAUSES):
                    raise
                continue
            if cut is None:
                return
            if cut == "no stream":
                break
            self._look()
        yield from self._poll()

    def _stream(self) -> Generator[Happening, None, _Cut | None]:
        path = f"{self._interface.path}/{self._id}"
        headers = {"Accept": "text/event-stream"}
        if self._parser.last_id:
            headers["Last-Event-ID"] = self._parser.last_id
        response = self._model.connection.stream(path, headers, SILENCE)
        with response:
            if response.getheader("Content-Type", "").partition(";")[0].strip() != "text/event-stream":
                return "no stream"
            return (yield from self._read(response))

    def _read(self, response: HTTPResponse) -> Generator[Happening, None, _Cut | None]:
        self._parser = Parser(self._parser.last_id)
        while True:
            try:
                piece = response.read1(_PIECE)
            except (OSError, HTTPException):
                return "try again"
            if not piece:
                return "try again"
            for event in self._parser.feed(piece):
                happening = self._happening(event)
                if happening is not None:
                    yield happening
                if isinstance(happening, Ended):
                    return None
                if (
                    event.name == "error"
                ):  # we were too slow, or came too late: what is missing can be asked for
                    return "no stream"

    def _happening(self, event: Event) -> Happening | None:
        if event.name not in ("output", "log", "completed"):
            return None
        data = json.loads(event.data)
        if event.name == "completed":
            return Ended(data)
        if event.name == "log":
            self._printed += len(data["data"])
            return Printed(data["data"])
        if data["index"] < self._chunks:
            return None
        self._chunks = data["index"] + 1
        return Chunk(data["index"], data["chunk"])

    def _poll(self) -> Iterator[Happening]:
        pauses = iter(POLLS)
        pause = POLLS[0]
        while True:
            prediction = self._model.get(self._interface, self._id)
            yield from self._news(prediction)
            if prediction.get("status") in TERMINAL:
                yield Ended(prediction)
                return
            pause = next(pauses, pause)
            time.sleep(pause)
            self._look()

    def _news(self, prediction: Mapping[str, Any]) -> Iterator[Happening]:
        logs, output = prediction.get("logs"), prediction.get("output")
        if isinstance(logs, str) and len(logs) > self._printed:
            text, self._printed = logs[self._printed :], len(logs)
            yield Printed(text)
        if isinstance(output, list) and prediction.get("status") not in TERMINAL:
            for index in range(self._chunks, len(output)):
                self._chunks = index + 1
                yield Chunk(index, output[index])
