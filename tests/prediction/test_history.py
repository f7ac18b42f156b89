"""What is held of a prediction's events, for whom, and how much of it."""

from __future__ import annotations

import pytest

from cog.prediction.events import Done, Log, Metric, Output, Started, Status
from cog.prediction.history import MOST, STARTED, History, Place
from cog.prediction.record import Prediction


class Reader:
    """Somebody at a place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def read(self, history: History) -> list[object]:
        """All that there is for it, piece by piece."""
        found: list[object] = []
        while piece := history.after(self.place):
            for event in piece:
                self.place = self.place.past(event)
            found += piece
        return found


def filled(capacity: int, count: int) -> History:
    history = History(capacity)
    for number in range(count):
        history.add(b"%d" % number)
    return history


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 500, 2000])
def test_who_comes_late_is_told_exactly_as_many_as_the_capacity_allows(count: int) -> None:
    history = filled(10, count)
    assert history.count == count + 1
    assert history.beyond(0) == max(0, count + 1 - 10)
    assert history.beyond(count + 1) == 0
    assert history.lost(history.at(history.count)) == 0


@pytest.mark.parametrize("count", [0, 5, 1000])
def test_nothing_is_told_anew_without_a_capacity(count: int) -> None:
    history = filled(0, count)
    assert history.live_only
    place = history.at(history.count)
    assert (place.events, history.after(place)) == (count + 1, [])


def test_what_nobody_reads_is_let_go() -> None:
    history = filled(10, 100_000)
    assert history.lost(STARTED) > 99_000


def test_a_reader_is_caught_up_beyond_the_capacity() -> None:
    history, reader = History(10), Reader(STARTED)
    history.readers = [reader]
    events = [b"%d" % number for number in range(5000)]
    for event in events[:3000]:
        history.add(event)
    assert reader.read(history) == events[:3000]
    for event in events[3000:]:
        history.add(event)
    assert reader.read(history) == events[3000:]
    assert reader.place == Place(5001, 5000, 0)
    assert history.lost(Place(2000)) > 0


def test_texts_are_held_up_to_a_limit_and_the_slow_one_is_told_how_many_it_lost() -> None:
    history, slow, quick = History(10), Reader(STARTED), Reader(STARTED)
    history.readers = [slow, quick]
    size = 100_000
    for _ in range(3 * MOST // size):
        history.add(Log("x" * size, "stdout"))
        assert len(quick.read(history)) == 1
    lost = history.lost(slow.place)
    held = history.count - 1 - lost
    assert MOST // 2 < held * size <= MOST
    assert quick.place == Place(history.count, 0, (history.count - 1) * size)


def test_pieces_are_small_but_never_empty() -> None:
    history = History(1000)
    for text in ("a" * 10, "b" * 1_000_000, "c" * 10):
        history.add(Log(text, "stdout"))
    place, sizes = STARTED, []
    while piece := history.after(place):
        for event in piece:
            place = place.past(event)
        sizes.append(len(piece))
    assert sizes == [2, 1]


def test_a_prediction_notes_what_it_tells_and_nothing_else() -> None:
    prediction = Prediction("p", b"{}", created_at=0.0, streams=True, capacity=100)
    log, metric = Log("a\n", "stderr"), Metric("m", 1, "increment")
    prediction.publish(Started(0.0))
    for event in (log, Output(b"1"), metric):
        prediction.publish(event)
    prediction.publish(Done(Status.SUCCEEDED, 1.0))
    assert prediction.history.after(STARTED) == [log, b"1", metric]
    assert prediction.history.at(prediction.history.count) == Place(4, 1, 2)
