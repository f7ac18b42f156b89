"""What is kept of ended predictions has limits of time, number and bytes: the oldest goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cog.prediction.events import Done, Started, Status
from cog.prediction.record import Prediction
from cog.store.memory import MemoryStore


def ended(store: MemoryStore, name: str, at: float, size: int = 10) -> int:
    """End a prediction with an output of `size` characters; gives the bytes that are kept of it."""
    prediction = Prediction(name, b"{}", created_at=at, streams=False)
    prediction.listeners.append(store)
    prediction.publish(Started(at))
    prediction.publish(Done(Status.SUCCEEDED, at, payload=b'"' + b"x" * size + b'"'))
    return len(prediction.render())


def kept(store: MemoryStore, now: float) -> list[str]:
    return [one.id for one in store.newest_first(now)]


def test_the_oldest_goes_when_its_time_is_over() -> None:
    store = MemoryStore(60)
    ended(store, "a", 0)
    ended(store, "b", 50)
    assert kept(store, 59) == ["b", "a"]
    assert kept(store, 61) == ["b"]
    assert store.get("a", 61) is None
    assert kept(store, 111) == []


def test_the_oldest_goes_when_there_are_too_many() -> None:
    store = MemoryStore(60, most=3)
    for number in range(5):
        ended(store, str(number), number)
    assert kept(store, 5) == ["4", "3", "2"]


def test_the_oldest_go_when_they_take_too_many_bytes() -> None:
    store = MemoryStore(60, most_bytes=10_000)
    for number in range(5):
        ended(store, str(number), number, 2_000)
    assert kept(store, 5) == ["4", "3", "2", "1"]
    ended(store, "large", 5, 9_000)
    assert kept(store, 5) == ["large"]
    ended(store, "larger than all", 6, 20_000)
    assert kept(store, 6) == []
    ended(store, "small", 7)
    assert kept(store, 7) == ["small"]


def test_an_id_that_runs_again_is_kept_once_and_counts_once() -> None:
    store = MemoryStore(60, most_bytes=10_000)
    for number in range(50):
        ended(store, "same", number, 4_000)
    ended(store, "other", 50, 4_000)
    assert kept(store, 50) == ["other", "same"]


def test_nothing_is_kept_for_0_seconds() -> None:
    store = MemoryStore(0)
    ended(store, "a", 0)
    assert kept(store, 0) == []


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3_000)), max_size=40))
def test_the_limits_hold_whatever_comes(predictions: list[tuple[str, int]]) -> None:
    store = MemoryStore(20, most=4, most_bytes=6_000)
    sizes: dict[str, int] = {}
    for at, (name, size) in enumerate(predictions):
        sizes[name] = ended(store, name, float(at), size)
        there = kept(store, float(at))
        assert len(there) <= 4
        assert sum(sizes[one] for one in there) <= 6_000
        assert not there or there[0] == name
