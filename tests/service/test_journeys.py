"""Whatever happens to predictions, and in whatever order: each ends once, and no place is lost."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cog.backend.protocol import State
from cog.errors import AtCapacity
from cog.files.folders import RuntimeFolder
from cog.files.threads import complete
from cog.prediction.events import Done, Event, Log, Metric, Started, Status
from cog.prediction.record import Prediction
from cog.prediction.request import PredictionRequest
from cog.service.capacity import Limits
from cog.service.intake import InputFile, Intake
from cog.service.service import Service
from support.scripted import ERRORS, Gates, ScriptedBackend, ScriptedRun, Witness, courier

SLOTS: Final = 2
ROOM: Final = 2000


class Stage:
    """A service on a scripted backend, and everything that was submitted to it."""

    def __init__(self, folders: RuntimeFolder, queue: int = 0) -> None:
        self.folders = folders
        self.room = SLOTS + queue
        self.gates = Gates()
        self.backend = ScriptedBackend(SLOTS)
        self.courier = courier(folders, self.gates, max_output=ROOM)
        self.witnesses: list[Witness] = []
        self.predictions: list[Prediction] = []
        self.service = Service(
            self.backend, self.courier, self._audience, lambda *_: None, limits=Limits(max_queue=queue)
        )

    def _audience(self, request: PredictionRequest) -> list[Witness]:
        self.witnesses.append(Witness())
        return self.witnesses[-1:]

    def submit(self, files: int = 0) -> Prediction:
        wanted = tuple(InputFile("http://files/one") for _ in range(files))
        intake = Intake(b"{}", wanted, {"files": list(wanted)})
        request = PredictionRequest(f"p{len(self.predictions)}")
        prediction = self.service.submit(request, intake)
        self.predictions.append(prediction)
        return prediction

    def ends(self) -> list[str]:
        return [prediction.status.value for prediction in self.predictions]

    def places(self) -> int:
        """How many can be accepted now; they are cancelled before they do anything."""
        taken = []
        while True:
            try:
                taken.append(self.submit().id)
            except AtCapacity:
                break
        for one in taken:
            self.service.cancel(one)
            for run in list(self.backend.runs):
                run.end(Status.CANCELED)
        return len(taken)

    async def settle(self) -> None:
        """Everything that was begun comes to its end: that it does is what is shown."""
        self.backend.dying = 0
        self.backend.become(State.READY, SLOTS)
        for _ in range(50):
            await turns(3)
            if not list(self.service.active()):
                break
            for _ in range(len(self.gates.waiting)):
                self.gates.open(0)
            for run in list(self.backend.runs):
                run.end(Status.CANCELED if run.canceling else Status.SUCCEEDED)
            self.backend.become(State.READY, SLOTS)
        assert self.ends() == [one.status.value for one in self.predictions if one.status.terminal]
        assert list(self.service.active()) == []
        assert self.backend.runs == []
        for witness, prediction in zip(self.witnesses, self.predictions, strict=True):
            assert witness.ended, prediction.status
            assert witness.wrong == []
            assert witness.started <= 1
        assert not self.service.full
        assert self.places() == self.room
        await self.cleared()

    async def settle_again(self) -> None:
        """After a drain: what comes late changes nothing."""
        for run in list(self.backend.runs):
            run.end(Status.SUCCEEDED)
        await self.cleared()
        await turns(3)
        assert not self.service.full

    async def cleared(self) -> None:
        """Nothing is left on the disk."""
        for _ in range(20_000):
            if not os.listdir(self.folders.path):
                return
            await complete(threading.Event().wait, 0.001)
        raise AssertionError(os.listdir(self.folders.path))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def on_stage(act: Callable[[Stage], Coroutine[Any, Any, None]], queue: int = 0) -> None:
    async def whole() -> None:
        with tempfile.TemporaryDirectory() as parent, RuntimeFolder(parent) as folders:
            stage = Stage(folders, queue)
            await stage.service.start()
            await act(stage)

    asyncio.run(whole())


def any_run(stage: Stage, index: int) -> ScriptedRun | None:
    runs = stage.backend.runs
    return runs[index % len(runs)] if runs else None


async def do(stage: Stage, action: str, index: int) -> None:
    """One thing that can happen, at a time at which it can; `index` chooses what it happens to."""
    run = any_run(stage, index)
    match action:
        case "turn":
            await turns(index % 4 + 1)
        case "submit" | "submit files":
            try:
                stage.submit(index % 3 + 1 if action == "submit files" else 0)
            except AtCapacity:
                assert len(list(stage.service.active())) >= min(stage.backend.slots, 1)
        case "cancel" if stage.predictions:
            stage.service.cancel(stage.predictions[-1 - index % min(4, len(stage.predictions))].id)
        case "open":
            stage.gates.open(index)
        case "fail":
            stage.gates.open(index, ERRORS[index % len(ERRORS)])
        case "respawn":
            stage.backend.become(State.READY, SLOTS)
        case "down":
            if not stage.backend.runs:
                stage.backend.become((State.STARTING, State.DEFUNCT)[index % 2], 0)
        case "dying":
            stage.backend.dying = 1
        case _:
            pass
    if run is not None:
        happen(run, action, index)


def happen(run: ScriptedRun, action: str, index: int) -> None:
    """What a worker can say of a run."""
    match action:
        case "log":
            run.put(Log("x\n", "stdout"))
            run.put(Metric("n", index))
        case "output":
            run.put_output(b"1" * (ROOM * 2 if index % 8 == 7 else 10), files=False)
        case "output files":
            run.put_output(b'"mark"', files=True)
        case "end":
            run.end(Status.CANCELED if run.canceling and index % 2 else Status.SUCCEEDED)
        case "end large":
            run.end(Status.SUCCEEDED, payload=b"1" * ROOM)
        case "end files":
            run.end(Status.SUCCEEDED, files=True, payload=b'"mark"')
        case "end failed":
            run.end(Status.FAILED)
        case "die":
            run.die()
        case "unseen":
            run.die(unseen=True)
        case _:
            pass


ACTIONS: Final = (
    "turn", "submit", "submit files", "cancel", "open", "fail", "respawn", "down", "dying", "log", "output",
    "output files", "end", "end large", "end files", "end failed", "die", "unseen",
)  # fmt: skip
STEPS: Final = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7)), max_size=40)


@given(steps=STEPS, queue=st.sampled_from((0, 0, 1, 3)))
@settings(max_examples=1000)
@example(steps=[("submit files", 0), ("cancel", 0)], queue=0)
@example(steps=[("submit", 0), ("output files", 0), ("cancel", 0)], queue=0)
@example(steps=[("submit", 0), ("end files", 0), ("cancel", 0)], queue=0)
@example(steps=[("submit", 0), ("unseen", 0), ("down", 1)], queue=0)
@example(steps=[("submit", 0), ("unseen", 0), ("cancel", 0), ("respawn", 0)], queue=0)
@example(steps=[("submit", 0)] * 5 + [("cancel", 2), ("down", 1)], queue=3)
def test_each_prediction_ends_once_and_no_place_is_lost(steps: list[tuple[str, int]], queue: int) -> None:
    async def act(stage: Stage) -> None:
        for action, index in steps:
            await do(stage, action, index)
        await stage.settle()

    on_stage(act, queue)


def test_those_whose_files_came_late_go_before_those_that_came_after_them() -> None:
    async def act(stage: Stage) -> None:
        first, second = stage.submit(), stage.submit()
        late, after = stage.submit(files=1), stage.submit()
        await turns(3)
        stage.gates.open(0)
        await turns(3)
        assert (late.place, after.place) != (None, None)
        order = []
        while stage.backend.runs:
            order += [p for p in stage.predictions if p.started_at is not None and p not in order]
            stage.backend.runs[0].end(Status.SUCCEEDED)
        assert order == [first, second, late, after]
        await stage.settle()

    on_stage(act, queue=2)


def test_an_order_that_was_never_read_starts_once_for_its_client() -> None:
    async def act(stage: Stage) -> None:
        prediction = stage.submit()
        (run,) = stage.backend.runs
        started_at = prediction.started_at
        stage.backend.become(State.STARTING, 1)
        run.die(unseen=True)
        assert (prediction.status, stage.service.full) == (Status.PROCESSING, True)
        assert json.loads(prediction.render())["metrics"] == {"queue_position": 1}
        stage.backend.become(State.READY, SLOTS)
        assert json.loads(prediction.render())["metrics"] == {}
        (again,) = stage.backend.runs
        assert again.order == run.order
        again.put(Log("hello\n", "stdout"))
        again.end(Status.SUCCEEDED)
        assert prediction.started_at == started_at
        assert [type(event) for event in stage.witnesses[0].events] == [Started, Log, Done]
        assert prediction.metrics["predict_time"] == 0.5
        await stage.settle()

    on_stage(act)


def test_an_order_that_was_never_read_goes_before_those_that_wait() -> None:
    async def act(stage: Stage) -> None:
        stage.submit()
        (first,) = stage.backend.runs
        stage.backend.dying = 1
        stage.submit()  # the worker that was free has just died: it waits
        stage.backend.state = State.STARTING
        first.die(unseen=True)
        stage.backend.become(State.READY, 1)
        (run,) = stage.backend.runs
        assert run.order.folder == first.order.folder
        run.end(Status.SUCCEEDED)
        (run,) = stage.backend.runs
        run.end(Status.SUCCEEDED)
        await stage.settle()

    on_stage(act)


def test_an_order_that_was_never_read_fails_with_a_model_that_does_not_come_up() -> None:
    async def act(stage: Stage) -> None:
        prediction = stage.submit()
        stage.backend.become(State.STARTING, 1)
        stage.backend.runs[0].die(unseen=True)
        stage.backend.become(State.DEFUNCT, 0)
        assert prediction.status is Status.FAILED
        assert prediction.error is not None
        assert "died again and again" in prediction.error
        await stage.settle()

    on_stage(act)


def test_the_models_time_is_kept_when_its_file_cannot_be_delivered() -> None:
    async def act(stage: Stage) -> None:
        prediction = stage.submit()
        (run,) = stage.backend.runs
        run.put_output(b'"mark"', files=True)
        run.end(Status.SUCCEEDED, payload=None)
        await turns(1)
        stage.gates.open(0, ERRORS[1])
        await turns(3)
        assert (prediction.status, prediction.error) == (Status.FAILED, "UploadError: it is refused")
        assert prediction.metrics["predict_time"] == 0.5
        await stage.settle()

    on_stage(act)


def test_a_cancel_that_is_too_late_for_the_run_is_not_for_its_files() -> None:
    """Nobody could end it otherwise: a second cancel changes nothing."""

    async def act(stage: Stage) -> None:
        prediction = stage.submit()
        (run,) = stage.backend.runs
        stage.service.cancel(prediction.id)
        run.end(Status.SUCCEEDED, files=True)
        await turns(3)
        assert prediction.status is Status.CANCELED
        assert prediction.output() == b"null"
        assert prediction.metrics["predict_time"] == 0.5
        await stage.settle()

    on_stage(act)


class Faulty:
    """A listener with a fault of ours."""

    def notice(self, prediction: Prediction, event: Event) -> None:
        raise RuntimeError(f"a fault at {type(event).__name__}")


def test_a_fault_of_one_listener_is_kept_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def act(stage: Stage) -> None:
        prediction = stage.submit()
        prediction.listeners.insert(0, Faulty())
        (run,) = stage.backend.runs
        run.put(Log("hello\n", "stdout"))
        run.end(Status.SUCCEEDED)
        assert prediction.status is Status.SUCCEEDED
        assert [type(event) for event in stage.witnesses[0].events] == [Started, Log, Done]
        await stage.settle()

    on_stage(act)
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert "a fault at Done" in caplog.text


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_an_event_that_cannot_be_taken_in_ends_its_prediction_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def act(stage: Stage) -> None:
        prediction, other = stage.submit(), stage.submit()
        run, beside = stage.backend.runs
        run.put(Log("before\n", "stdout"))
        run.put(
            Metric("deep", nested(5000), "replace")
        )  # measuring it fails: no worker of ours sends such a one
        assert run.canceling
        assert (prediction.status, stage.service.full) == (Status.PROCESSING, True)
        run.put(Log("after\n", "stdout"))
        run.end(Status.CANCELED)
        beside.end(Status.SUCCEEDED)
        assert prediction.status is Status.FAILED
        assert prediction.error is not None
        assert prediction.error.startswith("RecursionError: ")
        assert prediction.metrics == {"predict_time": 0.5}
        assert other.status is Status.SUCCEEDED
        await stage.settle()

    on_stage(act)
    assert "by a fault of the server" in caplog.text


@pytest.mark.parametrize("what", ["input", "output", "a run"])
def test_what_hangs_in_the_system_is_ended_at_shutdown(what: str) -> None:
    async def act(stage: Stage) -> None:
        release = threading.Event()

        async def hang(*_: object) -> Any:
            await complete(release.wait)
            return b"1"

        stage.courier.bring, stage.courier.deliver = hang, hang  # type: ignore[method-assign, assignment]
        prediction = stage.submit(files=int(what == "input"))
        await turns(2)
        if what == "output":
            stage.backend.runs[0].end(Status.SUCCEEDED, files=True)
        await stage.service.drain(0, -0.9)
        assert prediction.status is Status.CANCELED
        assert stage.witnesses[0].ended
        release.set()
        await stage.settle_again()

    on_stage(act)
