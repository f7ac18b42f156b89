"""What a model records, by the rules of the SDK, is what the prediction shows: both sides agree, whatever is recorded."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cog.prediction.events import Done, Log, Metric, Started, Status
from cog.prediction.metrics import Meter
from cog.prediction.record import NO_TIMINGS, Prediction
from cog.sdk.scope import Scope

Op = tuple[str, Any, str]

# Few names, many of which are within each other.
NAMES = st.sampled_from(["a", "b", "a.b", "a.c", "a.b.c", "a.b.d", "b.a", "a.b.c.d"])
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just(10**4000))
PLAIN = st.one_of(st.booleans(), NUMBERS, st.text(max_size=3))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abcd"), inner, max_size=2)
    ),
    max_leaves=4,
)
OPS = st.lists(
    st.tuples(NAMES, VALUES, st.sampled_from(["replace", "incr", "increment", "append", "delete"])),
    max_size=12,
)

MISSING = object()


def at(values: dict[str, Any], name: str) -> Any:
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def expected(before: Any, op: Op) -> list[Any]:
    """What may stand under the name after an accepted record, from what stood there before."""
    _, value, mode = op
    if mode == "append":
        if before is MISSING:
            return [[value]]
        return [[*before, value]] if isinstance(before, list) else [[before, value]]
    if mode in ("incr", "increment") and type(before) in (int, float):
        try:
            return [before + value, before]  # what no float can hold leaves it as it was
        except OverflowError:
            return [before]
    return [value]


def play(scope: Scope, op: Op) -> bool:
    name, value, mode = op
    try:
        if mode == "delete":
            scope.metrics.delete(name)
        else:
            scope.record_metric(name, value, mode)
    except TypeError:
        return False
    return True


@given(OPS)
@example([("a.b", 1, "replace"), ("a", 1, "incr")])
@example([("a.b", 1, "replace"), ("a", "s", "append"), ("a", "t", "append")])
@example([("a", {"b": "s"}, "replace"), ("a.b", 1, "incr")])
@example([("a", {"b": 10**400}, "replace"), ("a.b", 0.5, "incr")])
@example([("a", 1e308, "replace"), ("a", 1e308, "incr")])
@example([("a", 9 * 10**4299, "replace"), ("a", 9 * 10**4299, "incr")])
def test_what_the_model_may_record_the_prediction_shows(ops: list[Op]) -> None:
    events: list[Metric] = []
    scope = Scope({}, lambda *record: events.append(Metric(*record)))
    shown: dict[str, Any] = {}
    meter = Meter()
    for op in ops:
        name, before = op[0], copy.deepcopy(shown)
        accepted = play(scope, op)
        for event in events:
            meter.record(shown, event)
        events.clear()
        json.dumps(shown, allow_nan=False)
        if not accepted:
            assert shown == before
        elif op[2] == "delete":
            assert at(shown, name) is MISSING
        else:
            assert at(shown, name) in expected(at(before, name), op)
        for other in ("a", "b"):  # nothing beside it has changed
            if not name.startswith(other):
                assert at(shown, other) == at(before, other)


@given(OPS)
def test_a_name_keeps_its_type_until_it_is_deleted(ops: list[Op]) -> None:
    scope = Scope({}, lambda *_: None)
    for op in ops:
        play(scope, op)
    accepted = play(scope, ("a.b", 1, "replace"))
    if accepted:
        assert not play(scope, ("a.b", 1.0, "replace"))
        assert not play(scope, ("a.b", True, "incr"))
        assert play(scope, ("a.b", 2, "incr"))
        assert play(scope, ("a.b", 3, "append"))
        assert not play(scope, ("a.b", 3.0, "append"))
    scope.metrics.delete("a")
    assert play(scope, ("a.b", "now a text", "replace"))


def prediction() -> Prediction:
    made = Prediction("p", b"{}", created_at=0.0, streams=False)
    made.publish(Started(0.0))
    return made


@pytest.mark.parametrize(
    ("first", "then"),
    [(1e308, 1e308), (-1e308, -1e308), ({"x": 10**400}, 0.5), (9 * 10**4299, 9 * 10**4299)],
    ids=["inf", "-inf", "an int that no float holds", "digits"],
)
def test_a_sum_that_cannot_be_shown_is_told_in_the_logs(first: Any, then: Any) -> None:
    made = prediction()
    name = "loss.x" if isinstance(first, dict) else "loss"
    made.publish(Metric("loss", first))
    for _ in range(3):
        made.publish(Metric(name, then, "increment"))
    assert made.metrics == {"loss": first}
    text = str(made.logs)
    assert text.count("\n") == 3
    assert f"metric '{name}' was not incremented" in text
    told = made.history.after(made.history.at(1))
    assert [type(event) for event in told] == [Metric, Log, Log, Log]
    json.loads(made.render())


def test_a_figure_of_the_model_is_not_overwritten() -> None:
    """But predict_time, which the SDK refuses as a name (J45)."""
    made = prediction()
    made.publish(Metric("queue_time", "mine"))
    made.publish(Metric("download_time.mean", 2))
    made.timings = NO_TIMINGS._replace(queue_time=0.5, download_time=0.5, upload_time=0.5)
    made.publish(Done(Status.SUCCEEDED, 1.0, b"1", predict_time=0.25))
    assert json.loads(made.render())["metrics"] == {
        "queue_time": "mine",
        "download_time": {"mean": 2},
        "upload_time": 0.5,
        "predict_time": 0.25,
    }


def test_news_that_were_held_back_tell_no_figures_of_the_end() -> None:
    made = prediction()
    made.publish(Metric("mine", 1))
    made.timings = NO_TIMINGS._replace(queue_time=0.5)
    made.publish(Done(Status.SUCCEEDED, 1.0, b"1", predict_time=0.25))
    assert json.loads(made.render(Status.PROCESSING))["metrics"] == {"mine": 1}
    assert json.loads(made.render())["metrics"] == {"mine": 1, "queue_time": 0.5, "predict_time": 0.25}
