"""What is tried, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.bench import plan
from cog.bench.plan import MOST, Setup


def sweep(throughput: dict[int, float], wanted: tuple[int, ...] | None = None) -> list[int]:
    """What is tried of a model with these figures."""
    done: list[tuple[int, float]] = []
    while (concurrency := plan.next_concurrency(done, wanted)) is not None:
        done.append((concurrency, throughput.get(concurrency, max(throughput.values()))))
    return [concurrency for concurrency, _ in done]


def test_it_doubles_until_two_steps_bring_no_growth() -> None:
    assert sweep({1: 100, 2: 200, 4: 300, 8: 305, 16: 310}) == [1, 2, 4, 8, 16]


def test_one_step_without_growth_may_be_a_hiccup() -> None:
    assert sweep({1: 100, 2: 90, 4: 380, 8: 400, 16: 390}) == [1, 2, 4, 8, 16, 32]


def test_growth_without_end_ends_too() -> None:
    assert sweep({2**power: 2.0**power for power in range(20)})[-1] == MOST


def test_what_a_person_names_is_what_is_tried() -> None:
    assert sweep({3: 1, 7: 1, 500: 1}, (3, 7, 500)) == [3, 7, 500]


@given(st.lists(st.floats(0, 1e6), min_size=20, max_size=20))
def test_a_sweep_ends_whatever_is_measured(figures: list[float]) -> None:
    tried = sweep({2**power: figure for power, figure in enumerate(figures)})
    assert tried == [2**power for power in range(len(tried))]
    assert tried[-1] <= MOST


def test_every_number_of_processes_meets_every_size_of_batches() -> None:
    assert plan.setups((1, 2), (4, 8)) == (Setup(1, 4), Setup(1, 8), Setup(2, 4), Setup(2, 8))
    assert plan.setups((), ()) == (Setup(None, None),)


@pytest.mark.parametrize(("most", "sizes"), [(1, (1,)), (2, (1, 2)), (8, (1, 2, 4, 8)), (32, (1, 8, 16, 32))])
def test_batches_up_to_what_the_model_takes(most: int, sizes: tuple[int, ...]) -> None:
    assert plan.batch_sizes(most) == sizes


def test_a_quick_model_is_warmed_up() -> None:
    assert plan.pace(5, None, 0.01) == (1.0, 5, None)


@given(duration=st.floats(0.1, 100), one=st.floats(0.0001, 1000))
def test_a_step_has_room_for_three_predictions_one_after_the_other(duration: float, one: float) -> None:
    pace = plan.pace(duration, None, one)
    assert pace.seconds >= max(duration, 3 * one)
    assert pace.warm_up <= duration
