"""Who shares a call of the model, and that each prediction of it ends once, whatever happens to the others."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cog.backend.protocol import State
from cog.errors import AtCapacity
from cog.files.folders import RuntimeFolder
from cog.prediction.events import Done, Ending, Log, Metric, Output, Status
from cog.prediction.record import Prediction
from cog.prediction.request import PredictionRequest
from cog.service.capacity import Limits
from cog.service.service import Service
from cog.signature.facts import Batch, Default, Parameter, Result, Signature
from cog.signature.scalars import Anything, Text
from support.scripted import Gates, ScriptedBackend, ScriptedRun, Witness, courier

SIZE: Final = 3
NAMED: Final = (Parameter("x", Anything(), Default(None)), Parameter("kind", Text(), Default("a")))


class Stage:
    """A service of a model that takes batches, on a scripted backend."""

    def __init__(self, folders: RuntimeFolder, *, slots: int = 1, wait: float = 0.0, queue: int = 0) -> None:
        self.backend = ScriptedBackend(slots)
        rule = Batch(SIZE, wait, ("kind",))
        self.backend.signature = Signature(NAMED, Result(Anything()), style="generator", batch=rule)
        self.slots = slots
        self.room = 2 * SIZE * slots + queue
        self.folders = folders
        self.witnesses: list[Witness] = []
        self.predictions: list[Prediction] = []
        self.service = Service(
            self.backend,
            courier(folders, Gates()),
            self._audience,
            lambda *_: None,
            limits=Limits(max_queue=queue),
        )

    def _audience(self, request: PredictionRequest) -> list[Witness]:
        self.witnesses.append(Witness())
        return self.witnesses[-1:]

    def submit(self, **input: object) -> Prediction:
        text = json.dumps({"x": len(self.predictions), **input}).encode()
        prediction = self.service.submit(
            PredictionRequest(f"p{len(self.predictions)}", text), self.service.take(text)
        )
        self.predictions.append(prediction)
        return prediction

    def inputs(self) -> list[list[int]]:
        """What is running: the number of each prediction, call by call."""
        return [[one["x"] for one in json.loads(run.order.payload)] for run in self.backend.runs]

    async def settle(self) -> None:
        """Everything comes to its end, and nothing is lost."""
        self.backend.dying = 0
        self.backend.become(State.READY, self.slots)
        async with asyncio.timeout(20) if hasattr(asyncio, "timeout") else _Never():
            while list(self.service.active()) or self.backend.runs:
                for run in list(self.backend.runs):
                    run.end(Status.CANCELED if run.canceling else Status.SUCCEEDED, payload=None)
                self.backend.become(State.READY, self.slots)
                await asyncio.sleep(0)
        for witness, prediction in zip(self.witnesses, self.predictions, strict=True):
            assert (witness.ended, prediction.status.terminal) == (True, True)
            assert witness.started <= 1
        assert self.backend.runs == []
        assert self.places() == self.room

    def places(self) -> int:
        taken = []
        while True:
            try:
                taken.append(self.submit().id)
            except AtCapacity:
                break
        for one in taken:
            self.service.cancel(one)
            for run in list(self.backend.runs):
                if run.canceling:
                    run.end(Status.CANCELED)
        return len(taken)


class _Never:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


def on_stage(act: Callable[[Stage], Coroutine[Any, Any, None]], **how: Any) -> None:
    async def whole() -> None:
        with tempfile.TemporaryDirectory() as parent, RuntimeFolder(parent) as folders:
            stage = Stage(folders, **how)
            await stage.service.start()
            await act(stage)

    asyncio.run(whole())


def tell(run: ScriptedRun, index: int, event: Any) -> None:
    """What the worker says of one prediction of a batch."""
    run.spoke = True
    run.order.members[index % len(run.order.members)].sink(event)


def done(status: Ending, payload: bytes | None = None) -> Done:
    return Done(status, time.time(), payload, None if status is not Status.FAILED else "ValueError: bad", 0.5)


def test_a_lone_one_does_not_wait_when_the_wait_is_0_and_those_that_come_meanwhile_go_together() -> None:
    async def act(stage: Stage) -> None:
        for _ in range(5):
            stage.submit()
        assert stage.inputs() == [[0]]
        stage.backend.runs[0].end(Status.SUCCEEDED, payload=None)
        assert stage.inputs() == [[1, 2, 3]]
        stage.backend.runs[0].end(Status.SUCCEEDED, payload=None)
        assert stage.inputs() == [[4]]
        await stage.settle()
        assert [one.metrics["batch_size"] for one in stage.predictions[:5]] == [1, 3, 3, 3, 1]

    on_stage(act)


def test_the_first_waits_for_others_until_it_is_full_or_its_time_is_over() -> None:
    async def act(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            stage.submit()
        assert stage.inputs() == []
        stage.submit()
        assert stage.inputs() == [[0, 1, 2]]
        began = loop.time()
        stage.submit()
        while len(stage.backend.runs) < 2:
            await asyncio.sleep(0)
        assert loop.time() - began >= 0.049
        assert stage.inputs() == [[0, 1, 2], [3]]
        await stage.settle()

    on_stage(act, slots=2, wait=0.05)


def test_others_values_in_what_must_be_the_same_are_another_batch() -> None:
    async def act(stage: Stage) -> None:
        first = stage.submit()
        for kind in ("a", "b", "a", "b"):
            stage.submit(kind=kind)
        stage.submit()  # the default, which is "a"
        order = []
        while stage.backend.runs:
            order += stage.inputs()
            stage.backend.runs[0].end(Status.SUCCEEDED, payload=None)
        assert order == [[0], [1, 3, 5], [2, 4]]
        assert first.status is Status.SUCCEEDED
        await stage.settle()

    on_stage(act)


def test_a_full_batch_of_another_kind_does_not_wait_for_the_first_in_the_line() -> None:
    async def act(stage: Stage) -> None:
        stage.submit(kind="z")
        for _ in range(SIZE):
            stage.submit()
        assert stage.inputs() == [[1, 2, 3]]
        await stage.settle()

    on_stage(act, wait=0.05)


def test_one_that_is_canceled_ends_at_once_and_the_model_goes_on_for_the_others() -> None:
    async def act(stage: Stage) -> None:
        one, two, three = (stage.submit() for _ in range(3))
        (run,) = stage.backend.runs
        tell(run, 0, Output(b'"a"'))
        stage.service.cancel(one.id)
        assert (one.status, bytes(one.chunks), run.canceling) == (Status.CANCELED, b'["a"]', False)
        tell(run, 0, Output(b'"dropped"'))
        tell(run, 1, done(Status.FAILED))
        run.put(Log("to all\n", "stdout"))
        assert (two.status, two.error, three.status) == (Status.FAILED, "ValueError: bad", Status.PROCESSING)
        stage.service.cancel(three.id)
        assert (run.canceling, three.status) == (True, Status.PROCESSING)
        run.end(Status.CANCELED)
        assert three.status is Status.CANCELED
        assert str(three.logs) == "[batch of 3] to all\n"
        assert str(one.logs) == str(two.logs) == ""
        await stage.settle()

    on_stage(act, wait=10.0)


def test_what_is_said_to_all_is_marked_line_by_line() -> None:
    async def act(stage: Stage) -> None:
        one, *_ = (stage.submit() for _ in range(3))
        (run,) = stage.backend.runs
        for text in ("a", "b\nc\n\nd", "\n", "e\n"):
            run.put(Log(text, "stdout"))
        tell(run, 0, Log("mine\n", "stdout"))
        mark = "[batch of 3] "
        assert str(one.logs) == f"{mark}ab\n{mark}c\n{mark}\n{mark}d\n{mark}e\nmine\n"
        await stage.settle()

    on_stage(act, wait=10.0)


def test_a_batch_that_a_dying_worker_never_read_goes_to_the_next_one() -> None:
    async def act(stage: Stage) -> None:
        for _ in range(3):
            stage.submit()
        stage.service.cancel("p1")
        stage.backend.state = State.STARTING
        stage.backend.runs[0].die(unseen=True)
        assert stage.inputs() == []
        stage.backend.become(State.READY, 1)
        while not stage.backend.runs:
            await asyncio.sleep(0)
        assert stage.inputs() == [[0, 2]]
        await stage.settle()
        assert [one.status.value for one in stage.predictions[:3]] == ["succeeded", "canceled", "succeeded"]

    on_stage(act, wait=0.01)


@pytest.mark.parametrize(
    ("size", "wait", "calls"), [(2, None, [[0, 1]]), (None, 0.0, [[0]]), (99, 0.0, [[0]])]
)
def test_an_operator_may_want_smaller_batches_and_other_waits(
    size: int | None, wait: float | None, calls: list[list[int]]
) -> None:
    async def whole() -> None:
        with tempfile.TemporaryDirectory() as parent, RuntimeFolder(parent) as folders:
            stage = Stage(folders, wait=60.0)
            stage.service = Service(
                stage.backend, courier(folders, Gates()), stage._audience, lambda *_: None,
                limits=Limits(max_batch_size=size, max_batch_wait=wait),
            )  # fmt: skip
            await stage.service.start()
            stage.room = 2 * min(size or SIZE, SIZE)
            for _ in range(2):
                stage.submit()
            assert stage.inputs() == calls
            if size != 2:
                await stage.settle()

    asyncio.run(whole())


ACTIONS: Final = (
    "turn", "submit", "submit other", "cancel", "respawn", "down", "dying", "log", "metric", "output", "output to all",
    "one ends", "one fails", "end", "end failed", "die", "unseen",
)  # fmt: skip


async def do(stage: Stage, action: str, index: int) -> None:
    runs = stage.backend.runs
    run = runs[index % len(runs)] if runs else None
    match action:
        case "turn":
            await asyncio.sleep(0.001 * (index % 3))
        case "submit" | "submit other":
            try:
                stage.submit(kind="a" if action == "submit" else "b")
            except AtCapacity:
                assert len(list(stage.service.active())) >= min(stage.backend.slots, 1)
        case "cancel" if stage.predictions:
            stage.service.cancel(stage.predictions[-1 - index % min(6, len(stage.predictions))].id)
        case "respawn":
            stage.backend.become(State.READY, stage.slots)
        case "down" if not runs:
            stage.backend.become((State.STARTING, State.DEFUNCT)[index % 2], 0)
        case "dying":
            stage.backend.dying = 1
        case _:
            pass
    if run is not None:
        happen(run, action, index)


def happen(run: ScriptedRun, action: str, index: int) -> None:
    match action:
        case "log":
            run.put(Log("x", "stdout"))
            tell(run, index, Log("y\n", "stderr"))
        case "metric":
            run.put(Metric("n", index))
            tell(run, index, Metric("m", index))
        case "output":
            tell(run, index, Output(b"1"))
        case "output to all":
            for member in range(len(run.order.members)):
                tell(run, member, Output(b"2"))
        case "one ends":
            tell(run, index, done(Status.SUCCEEDED))
        case "one fails":
            tell(run, index, done(Status.FAILED))
        case "end":
            run.end(Status.CANCELED if run.canceling and index % 2 else Status.SUCCEEDED, payload=None)
        case "end failed":
            run.end(Status.FAILED)
        case "die":
            run.die()
        case "unseen":
            run.die(unseen=True)
        case _:
            pass


@given(
    steps=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7)), max_size=40),
    slots=st.integers(1, 2),
    wait=st.sampled_from((0.0, 0.002)),
    queue=st.sampled_from((0, 2)),
)
@settings(max_examples=400)
@example(
    steps=[("submit", 0)] * 4 + [("cancel", 1), ("unseen", 0), ("cancel", 0)], slots=1, wait=0.0, queue=0
)
@example(steps=[("submit", 0), ("one ends", 0), ("cancel", 0), ("die", 0)], slots=1, wait=0.0, queue=0)
def test_each_prediction_ends_once_and_no_place_is_lost(
    steps: list[tuple[str, int]], slots: int, wait: float, queue: int
) -> None:
    async def act(stage: Stage) -> None:
        for action, index in steps:
            await do(stage, action, index)
        await stage.settle()

    on_stage(act, slots=slots, wait=wait, queue=queue)


def test_files_that_come_after_its_cancel_are_removed_with_the_batch() -> None:
    async def act(stage: Stage) -> None:
        stage.submit()
        stage.submit()
        stage.submit()
        (run,) = stage.backend.runs
        stage.service.cancel("p0")
        os.mkdir(run.order.members[0].folder)
        run.end(Status.SUCCEEDED, payload=None)
        deadline = time.monotonic() + 20
        while os.listdir(stage.folders.path) and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        assert os.listdir(stage.folders.path) == []
        await stage.settle()

    on_stage(act, wait=10.0)
