"""What is recommended, and why: never what was not measured."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.steps import step, subject
from cog.bench.advice import ENOUGH, best_setup, knee, nice, recommend
from cog.bench.figures import Step
from cog.bench.plan import Setup
from cog.bench.subject import Style

ONE, TWO, FOUR = Setup(threads=1), Setup(threads=2), Setup(threads=4)


def settings(style: Style, *steps: Step, batched: bool = False) -> dict[str, str]:
    """The recommendations, with their reasons."""
    return {each.setting: each.reason for each in recommend(subject(style, batched=batched), steps)}


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=9))
def test_the_knee_is_the_fewest_requests_that_are_enough(figures: list[float]) -> None:
    steps = [
        step(2**power, round(figure, 1)) if figure >= 0.1 else step(2**power, 0)
        for power, figure in enumerate(figures)
    ]
    found = knee(steps)
    best = max(each.throughput for each in steps)
    if found is None:
        assert best == 0
        return
    assert found.throughput >= ENOUGH * best
    assert all(each.throughput < ENOUGH * best for each in steps if each.concurrency < found.concurrency)


def test_a_step_in_which_nothing_was_refused_goes_before_one_that_was() -> None:
    found = knee([step(1, 97, refused=3), step(2, 100), step(4, 101, refused=50)])
    assert found is not None
    assert found.concurrency == 2


def test_more_processes_that_bring_nothing_are_not_recommended() -> None:
    told = settings("sync", step(1, 100, ONE), step(2, 190, TWO), step(4, 195, FOUR))
    assert told["--threads 2"] == "190/s, 1.9 times what 1 does; 4 bring 195/s and take more memory"
    assert best_setup([step(1, 100, ONE), step(1, 300, TWO)]) == TWO


def test_one_number_of_processes_is_said_to_be_the_only_one() -> None:
    assert "the only number that was measured" in settings("sync", step(1, 100, TWO))["--threads 2"]


def test_an_async_model_that_fills_less_than_its_slots_gets_fewer() -> None:
    told = settings("async", *(step(n, min(n, 8) * 10, slots=64) for n in (1, 2, 4, 8, 16, 32)))
    assert "the model takes 64 now" in told["@concurrent(max=8)"]
    assert not any(setting.startswith("--threads") for setting in told)


def test_an_async_model_that_grew_up_to_its_slots_is_to_be_tried_with_more() -> None:
    told = settings("async", *(step(n, min(n, 8) * 10, slots=8) for n in (1, 2, 4, 8, 16, 32)))
    assert "cog bench -e COG_MAX_CONCURRENCY=16" in told["@concurrent(max=8)"]


def test_processes_of_an_async_model_are_workers_that_share_its_requests() -> None:
    steps = [
        step(n, min(n, 8 * count) * 10, Setup(threads=count), slots=64 * count)
        for count in (1, 2)
        for n in (1, 2, 4, 8, 16, 32)
    ]
    told = settings("async", *steps)
    assert told["--workers 2"] == "160/s, 2.0 times what 1 does"
    few = settings("async", step(2, 10, Setup(threads=2), slots=1))  # a server that is not what it should be
    assert "@concurrent(max=1)" in few
    assert "more than 16 at a time bring no more; the model takes 64 now" in told["@concurrent(max=8)"]


def test_the_smallest_batch_that_is_enough() -> None:
    sizes = {1: 75, 4: 150, 8: 190, 16: 197}
    steps = [
        step(n, rate * n / 32, Setup(batch=size), together=size * n / 32)
        for size, rate in sizes.items()
        for n in (1, 32)
    ]
    told = settings("sync", *steps, batched=True)
    (batch,) = (setting for setting in told if setting.startswith("@batch"))
    assert batch == "@batch(max_size=8, max_wait=0.001)"  # a tenth of the 10 ms of a call
    assert "190/s (1: 75.0/s, 4: 150/s, 16: 197/s), with 8.00 in a call on average" in told[batch]
    assert "larger max_size" not in told[batch]
    assert not any(setting.startswith("@concurrent") for setting in settings("async", *steps, batched=True))


def test_batches_that_grew_up_to_the_largest_are_to_be_tried_larger() -> None:
    told = settings("sync", step(8, 50, Setup(batch=1)), step(8, 90, Setup(batch=2)), batched=True)
    (reason,) = (reason for setting, reason in told.items() if setting.startswith("@batch(max_size=2,"))
    assert "so try a larger max_size" in reason


def test_the_queue_of_a_batched_model_fills_a_batch() -> None:
    assert "--max-queue 32" in settings("sync", step(1, 0.5, Setup(batch=16), slots=2), batched=True)


def test_the_queue_is_what_a_second_works_off() -> None:
    assert "--max-queue 50" in settings("sync", step(1, 84, TWO, slots=2))
    assert "--max-queue 1000" in settings("sync", step(1, 50_000, TWO, slots=2))


def test_a_slow_model_has_a_queue_for_each_of_its_slots() -> None:
    told = settings("sync", step(4, 0.4, FOUR, slots=4))
    assert told["--max-queue 5"].startswith("at 0.400/s so many are worked off in about 12.5 s")


def test_growth_up_to_the_last_step_asks_for_more_of_them() -> None:
    assert "throughput still grew" in settings("sync", step(1, 10), step(2, 20))["2 requests at a time"]
    assert "still grew" not in settings("sync", step(1, 20), step(2, 20))["1 request at a time"]


def test_what_to_know_of_the_figures() -> None:
    told = settings("sync", step(1, 10, refused=7, failures=(("ValueError: x", 2),), generator=0.93))
    assert "ValueError: x" in told["2 of 59 requests failed"]
    twice = (step(n, 10, failures=(("rare", 1), ("usual", count))) for n, count in ((1, 1), (2, 9)))
    assert "usual" in settings("sync", *twice)["12 of 112 requests failed"]
    assert "1 request at a time and more" in told["7 of 59 requests were refused"]
    assert "The load took 93% of a processor" in told


def test_without_an_answer_nothing_is_recommended() -> None:
    told = settings("sync", step(1, 0, failures=(("no connection", 3),)))
    assert list(told) == ["3 of 3 requests failed"]


STEPS = st.lists(
    st.builds(
        step,
        st.sampled_from([1, 2, 4, 8, 300]),
        st.sampled_from([0, 0.2, 3.0, 55.5, 12345.6]),
        st.builds(Setup, st.sampled_from([None, 1, 2]), st.sampled_from([None, 1, 8])),
        slots=st.sampled_from([None, 1, 8]),
        refused=st.integers(0, 3),
    ),
    max_size=8,
)


@given(STEPS, st.sampled_from(["sync", "async", None]), st.booleans())
def test_only_what_was_measured_is_recommended(steps: list[Step], style: Style, batched: bool) -> None:
    told = recommend(subject(style, batched=batched), steps)
    at_a_time = {count for each in steps for count in (each.concurrency, each.slots) if count is not None}
    measured: dict[str, set[object]] = {
        "--threads": {each.setup.threads for each in steps},
        "--workers": {each.setup.threads for each in steps},
        "max_size": {each.setup.batch for each in steps},
        "@concurrent(max": {*at_a_time}
        | {math.ceil(count / 2) for count in at_a_time},  # of two processes each
    }
    for each in told:
        for name, values in measured.items():
            for number in re.findall(re.escape(name) + r"[ =](\d+)", each.setting):
                assert int(number) in values
        assert each.reason


@pytest.mark.parametrize(
    ("value", "found"), [(1, 1), (4.9, 2), (5, 5), (99, 50), (812, 500), (0.0168, 0.01), (0.2, 0.2)]
)
def test_round_numbers(value: float, found: float) -> None:
    assert nice(value) == found


@given(st.floats(1e-4, 1e6))
def test_a_round_number_is_below_and_near(value: float) -> None:
    assert value * 0.399 <= nice(value) <= value
