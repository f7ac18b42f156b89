"""What one order asks of the model, and what becomes of what the model gives: one prediction, or several in one call.

The engines know how a model is called. What with, and whom its output is for, they ask here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, Protocol

from cog.errors import InputRefused, OutputError
from cog.sdk import scope
from cog.sdk.scope import Scope, Undo
from cog.worker import calls, failures
from cog.worker.calls import Call
from cog.worker.capture import utf8
from cog.worker.messages import Ended, PutOut, Start, StartBatch, Up
from cog.worker.model import Model
from cog.worker.outputs import OutputEncoder
from cog.worker.runs import Ending, Runs

_REPLACED: Final = (
    "the source of the model has changed while this prediction waited: run() takes batches now, or takes them no more, and no "
    "worker has the one before. Send the request again"
)


class Work(Protocol):
    """One call of the model."""

    call: Call
    scope: Scope

    @property
    def over(self) -> bool:
        """True when nobody wants more output."""

    def arguments(self) -> Mapping[str, object] | None:
        """The keyword arguments; None when there is nothing to be called for."""

    def encode(self, value: object) -> bytes | None:
        """What the model has returned, as the payload of the end."""

    def put_out(self, chunk: object) -> None:
        """Send what the model has yielded."""

    def end(self, ending: Ending, started: float) -> None:
        """Send the end. `started` is when the call began, by `perf_counter`."""


def work_of(order: Start | StartBatch, runs: Runs, model: Model) -> Work:
    """What `order` asks for. It is in flight from here on."""
    return Single(order, runs, model) if isinstance(order, Start) else Batch(order, runs, model)


class Single:
    """One prediction."""

    __slots__ = ("_encoder", "_model", "_payload", "_runs", "call", "scope")

    over = False

    def __init__(self, order: Start, runs: Runs, model: Model) -> None:
        self.call = runs.begin(order.run, order.folder)
        self.scope = Scope(order.context, runs.reporter(self.call))
        self._payload = order.payload
        self._runs = runs
        self._model = model
        self._encoder = OutputEncoder(order.folder)

    def arguments(self) -> Mapping[str, object]:
        """From the input.

        Raises:
            InputRefused: the order was given for another model.
        """
        if self._model.signature.batch is not None:
            raise InputRefused(_REPLACED)
        return self._model.arguments(self._payload)

    def encode(self, value: object) -> bytes:
        """The value as JSON text.

        Raises:
            OutputError: it cannot be expressed.
        """
        return self._encoder.encode(value)

    def put_out(self, chunk: object) -> None:
        """Send it as the next chunk.

        Raises:
            OutputError: it cannot be expressed.
        """
        payload = self._encoder.encode(chunk)
        self._runs.channel.send(PutOut(self.call.number, self._encoder.files, payload))

    def end(self, ending: Ending, started: float) -> None:
        """Its end."""
        self._runs.end(self.call, ending, self._encoder.files if ending.payload is not None else [], started)


class Member:
    """One prediction of a batch."""

    __slots__ = ("call", "encoder", "ended", "scope")

    def __init__(self, number: int, folder: str, context: Mapping[str, str], lead: Call, runs: Runs) -> None:
        self.call = Call(number, folder, lead)
        self.encoder = OutputEncoder(folder)
        self.scope = Scope(context, runs.reporter(self.call), self.claim)
        self.ended = False

    def claim(self) -> Undo:
        """What is printed from here on is this prediction's, until what this returns is called."""
        token = calls.enter(self.call)
        return lambda: calls.leave(token)


class Batch:
    """Several predictions in one call. The end of one that fails alone is sent when it is known; what ends the call ends
    all that have not ended.
    """

    def __init__(self, order: StartBatch, runs: Runs, model: Model) -> None:
        self.call = call = runs.begin(order.run, "", len(order.members))
        numbers = itertools.count(order.run + 1)
        self._members = [
            Member(next(numbers), folder, context, call, runs) for folder, context in order.members
        ]
        common = _common([context for _, context in order.members])
        self.scope = Scope(common, runs.reporter(call))
        self._row: list[Member] = []  # those whose inputs the model gets
        self._payload = order.payload
        self._runs = runs
        self._model = model
        self._started = perf_counter()

    @property
    def over(self) -> bool:
        """True when each has ended."""
        return all(member.ended for member in self._row)

    def arguments(self) -> Mapping[str, object] | None:
        """Lists with the values of each. One whose input a class of the model's own refuses fails alone.

        Raises:
            InputRefused: the order was given for another model.
        """
        if self._model.signature.batch is None:
            raise InputRefused(_REPLACED)
        self._started = perf_counter()
        inputs: list[Mapping[str, object]] = []
        ends: list[Up] = []
        for member, values in zip(self._members, self._model.inputs(self._payload), strict=True):
            try:
                inputs.append(self._model.arguments_of(values))
            except Exception as error:  # noqa: BLE001  the model's own classes: what they raised is the end of this one
                ends.append(self._failed(member, error))
            else:
                self._row.append(member)
        self._runs.channel.send_all(ends)
        self.scope.members = tuple(member.scope for member in self._row)
        return self._model.together(inputs) if inputs else None

    def encode(self, value: object) -> None:
        """Give each its item.

        Raises:
            OutputError: these are not as many items as predictions.
        """
        ends: list[Up] = [self._returned(member, item) for member, item in self._items(value)]
        self._runs.channel.send_all(ends)

    def put_out(self, chunk: object) -> None:
        """Give each its item as a chunk, but those that have ended.

        Raises:
            OutputError: these are not as many items as predictions.
        """
        said = (self._yielded(member, item) for member, item in self._items(chunk) if not member.ended)
        self._runs.channel.send_all([message for message in said if message is not None])

    def end(self, ending: Ending, started: float) -> None:
        """The end of the call."""
        for member in self._members:
            if not member.ended:
                self._close(member)
        self.scope.members = ()  # which hold each other
        scope.leave_all()  # an iterator that nobody ends may have stopped inside of one
        calls.leave_all()
        self._runs.end(self.call, ending, [], started)

    def _items(self, values: Any) -> Iterator[tuple[Member, object]]:
        """Each prediction with its item. Also of what is like a list: an array, a tensor."""
        if isinstance(values, (str, bytes, Mapping)) or not (
            isinstance(values, Sequence) or (hasattr(values, "__len__") and hasattr(values, "__getitem__"))
        ):
            raise OutputError(
                f"run() is decorated with @batch and gave {_kind(values)} where a list is expected, with an item for each "
                f"of the {len(self._row)} predictions of this call, in their order."
            )
        if len(values) != len(self._row):
            raise OutputError(
                f"run() is decorated with @batch and gave {len(values)} items for the {len(self._row)} predictions of this "
                "call. The list needs one for each, in their order; an exception in the place of one that fails."
            )
        return zip(self._row, values, strict=True)

    def _returned(self, member: Member, item: object) -> Up:
        if isinstance(item, BaseException):
            return self._failed(member, item)
        try:
            payload = member.encoder.encode(item)
        except Exception as error:  # noqa: BLE001  the model's own classes are asked, and only this one's output is wrong
            return self._failed(member, error)
        return self._ended(member, payload, member.encoder.files)

    def _yielded(self, member: Member, item: object) -> Up | None:
        if item is None:
            return None
        if isinstance(item, (StopIteration, StopAsyncIteration)):
            return self._ended(member, None, [])
        if isinstance(item, BaseException):
            return self._failed(member, item)
        try:
            payload = member.encoder.encode(item)
        except Exception as error:  # noqa: BLE001  as above
            return self._failed(member, error)
        return PutOut(member.call.number, member.encoder.files, payload)

    def _failed(self, member: Member, error: BaseException) -> Up:
        with member.scope:
            self._runs.tell(error)
        self._close(member)
        text = utf8(failures.summary(error)).decode()
        seconds = perf_counter() - self._started
        return Ended(member.call.number, "failed", seconds, None, text, [], False)

    def _ended(self, member: Member, payload: bytes | None, files: list[list[str]]) -> Up:
        self._close(member)
        return Ended(
            member.call.number, "succeeded", perf_counter() - self._started, payload, None, files, False
        )

    def _close(self, member: Member) -> None:
        """What it has printed is on its way, and it takes nothing more."""
        self._runs.capture.flush_of(member.call)
        member.call.closed = member.ended = True


def _common(contexts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = contexts
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
