"""What both engines share: the runs in flight, early and late cancels, the end of a run."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from cog.sdk.scope import Scope
from cog.worker import failures
from cog.worker.calls import Call
from cog.worker.capture import Capture, utf8
from cog.worker.channel import Channel
from cog.worker.messages import Ended, Measured, PutOut, Start
from cog.worker.messages import Ending as Status
from cog.worker.outputs import OutputEncoder


class Ending(NamedTuple):
    """How the model's code ended: a value as JSON text, or an exception."""

    payload: bytes | None = None
    error: BaseException | None = None


class Runs:
    """The runs of one worker. A cancel is answered exactly once: by `canceled` in the run's `done`, or as late.

    Runs are numbered in the order in which the server sends them, so a number above the newest one seen belongs to a
    run that is still in the data socket: its cancel is remembered.
    """

    def __init__(self, channel: Channel, capture: Capture) -> None:
        self.channel = channel
        self.capture = capture
        self.lock = threading.Lock()
        self.active: dict[int, Call] = {}
        self._newest = 0
        self._early: set[int] = set()

    def begin(self, order: Start) -> Call:
        """A run begins."""
        number = order.run
        call = Call(number, order.folder)
        with self.lock:
            self._newest = number
            self.active[number] = call
            if self._early and number in self._early:
                self._early.discard(number)
                call.canceling = True
        return call

    def mark_canceling(self, number: int) -> Call | None:
        """Note a cancel, with the lock held. None: the run is not there; then `expected()` tells whether it will be."""
        call = self.active.get(number)
        if call is not None:
            call.canceling = True
        return call

    def expected(self, number: int) -> bool:
        """Remember the cancel of a run that is yet to come, with the lock held. False when it has ended."""
        if number <= self._newest:
            return False
        self._early.add(number)
        return True

    def scope(self, call: Call, order: Start) -> Scope:
        """What `current_scope()` gives inside this run."""

        def report(name: str, value: object, mode: str) -> None:
            if not call.closed:
                self.channel.send(Measured(call.number, name, value, mode))

        return Scope(order.context, report)

    def put_out(self, call: Call, encoder: OutputEncoder, chunk: object) -> None:
        """Send one chunk that the model yielded."""
        payload = encoder.encode(chunk)
        self.channel.send(PutOut(call.number, encoder.files, payload))

    def end(self, call: Call, ending: Ending, files: list[list[str]], started: float) -> None:
        """Send the last prints of a run and its `done`."""
        seconds = time.perf_counter() - started
        error: str | None = None
        status: Status = "canceled" if call.delivered else "succeeded"
        if ending.error is not None and not call.delivered:
            status = "failed"
            error = utf8(failures.summary(ending.error)).decode()
            failures.show(ending.error)
        self.capture.end(call)
        with self.lock:
            del self.active[call.number]
            call.closed = True
        self.channel.send(Ended(call.number, status, seconds, ending.payload, error, files, call.canceling))
