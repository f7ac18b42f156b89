"""How many orders a worker is sent before it can begin them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cog.backend.ahead import Ahead


def after(*seconds: float) -> Ahead:
    ahead = Ahead()
    for each in seconds:
        ahead.ended(each)
    return ahead


def test_none_before_it_is_known_that_runs_are_short_and_quiet() -> None:
    assert after().room == 0
    assert after(*[1e-5] * 10).room == 0
    assert after(*[1e-5] * 100).room == 32


def test_as_many_as_take_two_milliseconds() -> None:
    assert after(*[0.0009] * 100).room == 2
    assert after(*[0.003] * 100).room == 0


def test_a_long_run_ends_it_at_once() -> None:
    assert after(*[1e-5] * 100, 0.5).room == 0


def test_text_of_which_nobody_knows_whose_it_is_ends_it_for_a_while() -> None:
    ahead = after(*[1e-5] * 100)
    ahead.heard()
    assert ahead.room == 0
    for _ in range(64):
        ahead.ended(1e-5)
    assert ahead.room == 32


@given(st.lists(st.one_of(st.floats(0, 1e6), st.none())))
def test_room_is_bounded_whatever_happened(events: list[float | None]) -> None:
    ahead = Ahead()
    for event in events:
        if event is None:
            ahead.heard()
        else:
            ahead.ended(event)
    assert 0 <= ahead.room <= 32
