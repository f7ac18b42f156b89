"""What both engines share: the runs in flight, early and late cancels, the end of a run."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from time import perf_counter
from typing import NamedTuple, NoReturn

from cog.sdk.scope import Report
from cog.worker import failures
from cog.worker.calls import Call
from cog.worker.capture import Capture, utf8
from cog.worker.channel import Channel
from cog.worker.messages import Ended, Measured
from cog.worker.messages import Ending as Status


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
        self._streams = sys.stdin, sys.stdout, sys.stderr  # as setup() left them
        self._pid = os.getpid()
        capture.keep_descriptors()

    def begin(self, number: int, folder: str, members: int = 0) -> Call:
        """A run begins. What an earlier one put in the place of `sys.stdout` is gone, so that this one's logs are not. The
        numbers of its `members` follow its own."""
        if not self.active:
            sys.stdin, sys.stdout, sys.stderr = self._streams
        call = Call(number, folder)
        with self.lock:
            self._newest = number + members
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

    def reporter(self, call: Call) -> Report:
        """What sends the figures that are recorded in this run, until its end."""

        def report(name: str, value: object, mode: str) -> None:
            if not call.closed:
                self.channel.send(Measured(call.number, name, value, mode))

        return report

    def tell(self, error: BaseException) -> None:
        """Put a traceback into the logs of the run at hand; outside of any into the server's log."""
        self.capture.write("stderr", failures.model_traceback(error))

    def end(self, call: Call, ending: Ending, files: list[list[str]], started: float) -> None:
        """Send the last prints of a run and its `done`."""
        seconds = perf_counter() - started
        if os.getpid() != self._pid:
            self._leave(ending.error)
        error: str | None = None
        status: Status = "canceled" if call.delivered else "succeeded"
        if ending.error is not None and not call.delivered:
            status = "failed"
            error = utf8(failures.summary(ending.error)).decode()
            self.capture.flush("stdout")  # what was printed before stands before
            self.tell(ending.error)
        self.capture.end(call)
        for file in call.files:
            with contextlib.suppress(ValueError, OSError):  # the model has taken it apart
                file.close()
        with self.lock:
            del self.active[call.number]
            call.closed = True
        self.channel.send(Ended(call.number, status, seconds, ending.payload, error, files, call.canceling))
        if not self.active:
            self.capture.restore_descriptors()  # now, while the server answers: it costs that client nothing

    def _leave(self, error: BaseException | None) -> NoReturn:
        """End a child that the model forked and that came back here, as a Python program of its own would end."""
        code = 0 if error is None else 1
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            code = error.code or 0
        elif error is not None:
            self.capture.write("stderr", failures.model_traceback(error))
        self.capture.end(None)
        os._exit(code & 0xFF)
