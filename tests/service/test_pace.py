"""When a place is expected to be free, from what was measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.service.pace import Pace


def test_nothing_measured_is_a_second() -> None:
    assert Pace().until_a_place(4) == 1


@pytest.mark.parametrize(
    ("seconds", "slots", "expected"), [(10, 1, 10), (10, 4, 3), (0.01, 1, 1), (1e9, 1, 3600)]
)
def test_the_mean_is_shared_by_the_slots(seconds: float, slots: int, expected: int) -> None:
    pace = Pace()
    pace.ended(seconds)
    assert pace.until_a_place(slots) == expected


def test_it_follows_a_model_that_becomes_slower() -> None:
    pace = Pace()
    pace.ended(1)
    for _ in range(20):
        pace.ended(60)
    assert 55 <= pace.until_a_place(1) <= 60


@given(seconds=st.lists(st.floats(0, 1e6), min_size=1), slots=st.integers(0, 1000))
def test_it_is_always_a_whole_number_that_a_header_can_hold(seconds: list[float], slots: int) -> None:
    pace = Pace()
    for one in seconds:
        pace.ended(one)
    assert 1 <= pace.until_a_place(slots) <= 3600
