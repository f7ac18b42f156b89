"""The sweep of `cog bench`: one server after the other, and on each more and more requests at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Final

import click

from cog.bench import load, plan
from cog.bench.advice import recommend
from cog.bench.figures import Step, Tally
from cog.bench.load import Target
from cog.bench.machine import describe, processors
from cog.bench.plan import Setup
from cog.bench.results import Results
from cog.bench.subject import Style, Subject
from cog.bench.table import Table
from cog.cli.prediction import failure
from cog.cli.request import Request
from cog.cli.screen import Screen
from cog.client import interface as interfaces
from cog.client.model import POLL, RemoteModel, SetupFailed
from cog.errors import ModelFailed
from cog.version import __version__

# What the further copies of a model may take to be ready: seconds at least, and so many times as long as the first one.
_COPIES: Final = (2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked of the sweep; empty or None: what the model suggests."""

    concurrency: tuple[int, ...] | None
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    duration: float
    requests: int | None
    as_json: bool


@dataclass(slots=True)
class Sweep:
    """One benchmark: what is measured, and what has been so far."""

    wishes: Wishes
    screen: Screen
    name: str
    style: Style = None
    url: bool = False
    batched: bool = False
    setups: tuple[Setup, ...] = (Setup(),)
    steps: list[Step] = field(default_factory=list)
    _first: float = 0.0
    _bytes: int = 0

    def load(
        self, model: RemoteModel, setup: Setup, request: Request, look: Callable[[], None], copies: int | None
    ) -> None:
        """Measure the server of one setup. `look` raises when it is gone; `copies` is how many the model will have.

        Raises:
            InputError: the model does not take what was given.
            ModelFailed: it cannot be asked, or its first prediction fails.
            ServerUnreachable: there is no server.
        """
        began = time.monotonic()
        with self.screen.working("Setting up"):
            self._wait_ready(model, request.timeout, look)
            each = 1 if self.style == "sync" else None
            slots, ready = _wait_slots(model, copies, each, time.monotonic() - began, look)
        if setup.threads is not None and ready < setup.threads:
            self.screen.warn(
                f"{ready} of {setup.threads} copies of the model are ready: measured is what they do"
            )
        if self.style == "sync" or setup.threads is not None:
            setup = replace(setup, threads=ready)
        with self.screen.working("First prediction"):
            target, one = self._ask_once(model, request)
        pace = plan.pace(self.wishes.duration, self.wishes.requests, one)
        if not self.steps:
            self._first, self._bytes = one, len(target.body)
            self._put(Table.of(self.setups).head)
        done: list[tuple[int, float]] = []
        while (concurrency := plan.next_concurrency(done, self.wishes.concurrency)) is not None:
            step = self._step(target, setup, concurrency, slots, pace, look)
            self.steps.append(step)
            self._put(Table.of(self.setups).row(step))
            if not step.answers:
                raise ModelFailed(_unanswered(step))
            done.append((concurrency, step.throughput))

    def _wait_ready(self, model: RemoteModel, timeout: float, look: Callable[[], None]) -> None:
        try:
            model.wait_ready(timeout, look)
        except SetupFailed as error:
            self._show(error.logs)
            raise

    def _ask_once(self, model: RemoteModel, request: Request) -> tuple[Target, float]:
        """Whom to load with what, and the seconds that a prediction takes: the second one, since the first may have much
        to do that is done once.

        Raises:
            ModelFailed: it fails, with what the model says.
        """
        document = model.document()
        interface = interfaces.read(document)
        order: dict[str, object] = {"input": request.given.fit(document, interface.component, None)}
        took = 0.0
        for _ in range(2):
            began = time.perf_counter()
            prediction = model.run(interface, order)
            took = time.perf_counter() - began
            if prediction.get("status") != "succeeded":
                self._show(str(prediction.get("logs") or ""))
                raise ModelFailed(failure(interface.noun, prediction))
        body = json.dumps(order, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return Target(model.connection.address, interface.path, body), took

    def _step(
        self,
        target: Target,
        setup: Setup,
        concurrency: int,
        slots: int | None,
        pace: plan.Pace,
        look: Callable[[], None],
    ) -> Step:
        table = Table.of(self.setups)
        with self.screen.working(table.begun(setup, concurrency, Tally(), 0.0)) as change:

            def show(tally: Tally, began: float) -> None:
                look()
                change(table.begun(setup, concurrency, tally, began))

            step = load.measure(target, setup, concurrency, slots, pace, show)
        look()
        return step

    def results(self, *, interrupted: bool) -> Results:
        """All of it."""
        subject = Subject(
            self.name,
            self.style,
            self.batched,
            self.url,
            self._bytes,
            processors(),
            describe(),
            __version__,
            self._first,
        )
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Results(subject, tuple(self.steps), recommend(subject, self.steps), now, interrupted)

    def _show(self, logs: str) -> None:
        """What the model of a server printed that somebody else has started; of our own all that it writes is shown."""
        if self.url:
            self.screen.write(logs)

    def _put(self, line: str) -> None:
        """A line of the table: a result, unless JSON is."""
        if self.wishes.as_json:
            self.screen.say(line)
        else:
            click.echo(line)


def _wait_slots(
    model: RemoteModel, copies: int | None, each: int | None, ready: float, look: Callable[[], None]
) -> tuple[int | None, int]:
    """How many predictions the server runs at once, and in how many copies of the model. So many `copies` are waited for,
    a while: a server is ready with the first one, which took `ready` seconds, and only then starts another. `each` are the
    slots of one; None: what there is now.
    """
    slots = model.slots()
    if not slots:
        return slots, 1
    each = each or slots
    least, as_long = _COPIES
    deadline = time.monotonic() + max(least, as_long * ready)
    while copies is not None and slots is not None and slots < copies * each and time.monotonic() < deadline:
        look()
        time.sleep(POLL)
        slots = model.slots()
    return slots, (slots or 0) // each


def _unanswered(step: Step) -> str:
    """Why a step without a single answer ends the benchmark."""
    count = f"With {step.concurrency} at a time none of {step.refused + step.failed:,} requests was answered"
    if step.failures:
        return f"{count}; most of them: {step.failures[0][0]}"
    return f"{count}: the server refused them all, for others use it, or it takes no predictions now"
