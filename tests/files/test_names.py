"""Names of uploads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cog.files.names import TakenNames


def test_equal_names_are_told_apart() -> None:
    names = TakenNames()
    wanted = ["a.png", "a.png", "a-3.png", "a.png", "a.png", "b", "b", "", "..", ".x", ".x"]
    given = [names.take("p", name) for name in wanted]
    assert given == [
        "a.png", "a-2.png", "a-3.png", "a-4.png", "a-5.png", "b", "b-2", "file", "file-2", ".x", ".x-2",
    ]  # fmt: skip


def test_each_prediction_has_its_own() -> None:
    names = TakenNames()
    assert names.take("p", "a") == names.take("q", "a") == "a"
    names.forget("p")
    names.forget("unknown")
    assert names.take("p", "a") == "a"
    assert names.take("q", "a") == "a-2"


def test_the_memory_is_bounded() -> None:
    names = TakenNames()
    for number in range(10_001):
        names.take(str(number), "a")
    assert names.take("0", "a") == "a"
    assert names.take("10000", "a") == "a-2"


@given(st.lists(st.sampled_from(["a", "a-2", "a-2-2", "a-3", "b.c", "b-2.c"])))
def test_no_name_is_given_twice(wanted: list[str]) -> None:
    names = TakenNames()
    given_names = [names.take("p", name) for name in wanted]
    assert len(set(given_names)) == len(wanted)
