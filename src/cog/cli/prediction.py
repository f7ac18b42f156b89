"""One prediction, from the command line's input to its result."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from cog.cli.given import Links
from cog.cli.request import Request
from cog.cli.results import StandardOutput
from cog.cli.screen import Screen
from cog.client import interface as interfaces
from cog.client.interface import Interface
from cog.client.model import RemoteModel, SetupFailed
from cog.client.outputs import Delivery, Teller
from cog.client.progress import TERMINAL, Chunk, Ended, Follower, Printed
from cog.errors import ModelFailed, ServerUnreachable, UnsavedOutput

# Seconds that a canceled prediction gets, as the server gives it (--cancel-grace), and a little for the way.
CANCEL_GRACE: Final = 12.0
_LOOK: Final = 0.05  # seconds between two looks at it


class LiveLine:
    """The line on the screen that says what goes on; there is one at a time."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown = contextlib.ExitStack()

    def show(self, text: str) -> None:
        """Show `text`, in the place of what was shown."""
        self.hide()
        self._shown.enter_context(self._screen.working(text))

    def hide(self) -> None:
        """Show none."""
        self._shown.close()


class Asking:
    """Asks one model once, and shows how it goes."""

    def __init__(
        self,
        model: RemoteModel,
        screen: Screen,
        *,
        look: Callable[[], None] = lambda: None,
        settle: Callable[[], None] | None = None,
        links: Links | None = None,
    ) -> None:
        """`look` raises when the server is known to be gone. `settle` returns once all prints are on the screen; with
        it they come there by themselves, without it they are shown as the server tells them. With `links` the model
        can open the files of this machine.
        """
        self._model = model
        self._screen = screen
        self._look = look
        self._settle = settle
        self._links = links
        self._line = LiveLine(screen)
        self._results = StandardOutput(self._make_room)

    def ask(self, request: Request) -> None:
        """Wait until the model is ready, run it, deliver its output.

        Raises:
            InputError: the model does not take what was given.
            ModelFailed: its setup or the prediction failed.
            ServerUnreachable: there is no server.
            UnsavedOutput: a result cannot be written.
        """
        try:
            began = time.monotonic()
            self._wait(request.timeout)
            document = self._model.document()
            interface = interfaces.read(document, train=request.train)
            link = None if self._links is None else self._links.make
            values = request.given.fit(document, interface.component, link)
            order = {"id": os.urandom(16).hex(), "input": values, "context": dict(request.context)}
            ready = time.monotonic()
            self._line.show("Running")
            whole = request.given.as_json
            teller = Teller(self._saved, self._screen.warn)
            delivery = Delivery(interface, request.target, self._results, teller, whole=whole)
            prediction = self._run(interface, order, delivery)
            self._line.hide()
            self._conclude(interface.noun, prediction, delivery, whole=whole)
            self._tell_times(interface.noun, ready - began, prediction, time.monotonic() - ready)
        finally:
            self._line.hide()
            with contextlib.suppress(OSError):  # also before what is said of an interrupt
                self._results.finish()

    def _wait(self, timeout: float) -> None:
        self._line.show("Setting up")
        try:
            self._model.wait_ready(timeout, self._look)
        except SetupFailed as error:
            if self._settle is None:
                self._screen.write(error.logs)
            raise

    def _run(
        self, interface: Interface, order: Mapping[str, object], delivery: Delivery
    ) -> Mapping[str, Any]:
        try:
            if not interface.polls:
                prediction = self._model.run(interface, order)
                self._print(str(prediction.get("logs") or ""))
                return prediction
            self._model.start(interface, order)
            return self._follow(interface, str(order["id"]), delivery)
        except (KeyboardInterrupt, BrokenPipeError, UnsavedOutput):
            self._line.show("Canceling")
            self._cancel(interface, str(order["id"]))
            raise

    def _follow(self, interface: Interface, prediction_id: str, delivery: Delivery) -> Mapping[str, Any]:
        for happening in Follower(self._model, interface, prediction_id, self._look).happenings():
            match happening:
                case Chunk(position, value):
                    delivery.take(position, value)
                case Printed(text):
                    self._print(text)
                case Ended(prediction):
                    return prediction
        raise ServerUnreachable(f"{self._model.connection.url} does not say how the {interface.noun} ended.")

    def _make_room(self, on_terminal: bool) -> None:
        """What was printed before a result stands before it."""
        if self._settle is not None:
            self._settle()
        if on_terminal:
            self._line.hide()

    def _print(self, text: str) -> None:
        if self._settle is None:
            self._screen.write(text)

    def _cancel(self, interface: Interface, prediction_id: str) -> None:
        """Cancel it, and wait until it has ended."""
        self._model.cancel(interface, prediction_id)
        deadline = time.monotonic() + CANCEL_GRACE
        with contextlib.suppress(ServerUnreachable, ModelFailed):  # it is gone: that will do
            while interface.polls and time.monotonic() < deadline:
                if self._model.get(interface, prediction_id).get("status") in TERMINAL:
                    return
                time.sleep(_LOOK)

    def _conclude(self, noun: str, prediction: Mapping[str, Any], delivery: Delivery, *, whole: bool) -> None:
        if self._settle is not None:
            self._settle()
        succeeded = prediction.get("status") == "succeeded"
        if whole:
            delivery.respond(prediction)
        elif succeeded:
            delivery.finish(prediction.get("output"))
        self._results.finish()  # before the times are told
        if not succeeded:
            raise ModelFailed(failure(noun, prediction))

    def _saved(self, path: Path) -> None:
        self._screen.say(f"Written output to {path}")

    def _tell_times(self, noun: str, setup: float, prediction: Mapping[str, Any], running: float) -> None:
        """On a terminal: how long it took."""
        if not self._screen.lively:
            return
        metrics = prediction.get("metrics")
        own = metrics.get("predict_time") if isinstance(metrics, dict) else None
        took = own if isinstance(own, float) else running
        started_here = f"setup {setup:.1f} s, " if self._settle is not None else ""
        self._screen.note(f"{started_here}{noun} {took:.1f} s")


def failure(noun: str, prediction: Mapping[str, Any]) -> str:
    """`Prediction failed: ValueError: bad thing`."""
    head = f"{noun.capitalize()} {prediction.get('status')}"
    error = prediction.get("error")
    if not error:
        return head
    return str(error) if str(error).startswith(head) else f"{head}: {error}"
