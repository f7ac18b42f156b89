from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from cog import BaseRunner, current_scope
from cog.sdk import scope as module
from cog.sdk.scope import Scope, active, set_process_scope

Seen = list[tuple[str, object, str]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def scope(seen: Seen) -> Iterator[Scope]:
    made = Scope({"who": "me"}, lambda name, value, mode: seen.append((name, value, mode)))
    token = active.set(made)
    yield made
    active.reset(token)


def test_each_accepted_record_is_reported(scope: Scope, seen: Seen) -> None:
    BaseRunner().record_metric("count", 1)
    scope.metrics["text"] = "a"
    scope.metrics.record("count", 2, "incr")
    scope.record_metric("count", 2, mode="increment")
    scope.metrics.record("list", True, "append")
    assert seen == [
        ("count", 1, "replace"),
        ("text", "a", "replace"),
        ("count", 2, "increment"),
        ("count", 2, "increment"),
        ("list", True, "append"),
    ]
    assert BaseRunner().scope is scope
    assert scope.context == {"who": "me"}


@pytest.mark.parametrize("way", ["record", "item", "del", "delete"])
def test_none_and_del_delete(scope: Scope, seen: Seen, way: str) -> None:
    scope.record_metric("a", 1)
    match way:
        case "record":
            scope.record_metric("a", None)
        case "item":
            scope.metrics["a"] = None
        case "del":
            del scope.metrics["a"]
        case _:
            scope.metrics.delete("a")
    assert seen[1:] == [("a", None, "replace")]
    scope.record_metric("a", "of another type now")


@pytest.mark.parametrize(
    "name", ["a", "A1", "a_b", "a.b.c.d", "x" * 128, "cog", "predicted", "a.predict_time"]
)
def test_good_names(scope: Scope, seen: Seen, name: str) -> None:
    scope.record_metric(name, 1)
    assert seen == [(name, 1, "replace")]


@pytest.mark.parametrize(
    "name",
    ["", "1a", "_a", "a_", "a__b", "a.", ".a", "a..b", "a.b.c.d.e", "x" * 129, "a-b", "é", "a\n", "cog.x",
     "predict_time", "predict_time.x"],
)  # fmt: skip
def test_bad_names(scope: Scope, seen: Seen, name: str) -> None:
    with pytest.raises(ValueError, match="metric"):
        scope.record_metric(name, 1)
    with pytest.raises(ValueError, match="metric"):
        del scope.metrics[name]
    assert seen == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("nan")], {"a": [float("-inf")]}])
def test_no_nan_vanishes(scope: Scope, seen: Seen, value: object) -> None:
    with pytest.raises(ValueError, match="loss"):
        scope.record_metric("loss", value)
    assert seen == []


@pytest.mark.parametrize("value", [object(), b"x", 1j, (1,), {(1, 2): 3}, [object()]])
def test_other_types_are_refused(scope: Scope, value: object) -> None:
    with pytest.raises(TypeError, match="'x'"):
        scope.record_metric("x", value)


def test_a_name_keeps_its_type(scope: Scope) -> None:
    scope.record_metric("a", 1)
    others: list[object] = [1.0, True, "1", [1], {}]
    for other in others:
        with pytest.raises(TypeError, match="delete it first"):
            scope.record_metric("a", other)
    scope.record_metric("a", 2, "append")  # wraps the scalar
    with pytest.raises(TypeError, match="holds int values"):
        scope.record_metric("a", "x", "append")
    with pytest.raises(TypeError):
        scope.record_metric("a", 1)
    scope.record_metric("a", [1, "mixed"])
    scope.record_metric("a", "x", "append")


def test_a_scalar_in_the_way_gives_up_its_type(scope: Scope) -> None:
    scope.record_metric("a", 1)
    scope.record_metric("a.b", 1)
    scope.record_metric("a", "x")
    scope.record_metric("a.b", "now text")


def test_what_is_nested_is_forgotten_with_its_name(scope: Scope) -> None:
    scope.record_metric("a.b.c", 1)
    scope.record_metric("a.d", 1)
    scope.metrics.delete("a.b")
    scope.metrics.delete("x.y.z")
    scope.record_metric("a.b.c", "text now")
    with pytest.raises(TypeError):
        scope.record_metric("a.d", "text now")
    scope.record_metric("a", 1)  # instead of the object
    scope.record_metric("a.d", "text now")


def test_many_names_take_their_time_once(scope: Scope) -> None:
    """Looking through all of them for each new one took three minutes for so many."""
    begun = time.monotonic()
    for number in range(20_000):
        scope.record_metric(f"step_{number}.loss", 0.5)
        scope.metrics.delete(f"step_{number}")
        scope.record_metric(f"at{number}", number)
    assert time.monotonic() - begun < 10


def test_modes(scope: Scope) -> None:
    with pytest.raises(TypeError, match="unknown mode"):
        scope.record_metric("a", 1, "sum")
    for value in ("1", True, [1]):
        with pytest.raises(TypeError, match="incremented"):
            scope.record_metric("a", value, "incr")


def test_values_are_copied_and_plain(scope: Scope, seen: Seen) -> None:
    value = {"l": [(1, 2)], "s": "\ud800"}
    scope.record_metric("v", value)
    value["l"] = []
    assert seen == [("v", {"l": [[1, 2]], "s": "\ufffd"}, "replace")]
    scope.record_metric("big", 2**70)
    assert seen[-1] == ("big", 2**70, "replace")


def test_deep_values_do_no_harm(scope: Scope) -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        scope.record_metric("v", value)


def test_outside_a_prediction_nothing_happens() -> None:
    scope = current_scope()
    scope.record_metric("a", 1)
    scope.record_metric("not a name!", object(), "no mode")
    del scope.metrics["..."]
    scope.context["a"] = "b"
    assert current_scope().context == {}


def test_threads_see_the_process_scope_and_the_context_wins(seen: Seen) -> None:
    process = Scope({}, lambda name, value, mode: seen.append((name, value, mode)))
    found: list[Scope] = []
    set_process_scope(process)
    try:
        thread = threading.Thread(target=lambda: found.append(current_scope()))
        thread.start()
        thread.join(10)
        assert found == [process]
        other = Scope({}, lambda *_: None)
        token = active.set(other)
        assert current_scope() is other
        active.reset(token)
    finally:
        set_process_scope(None)
    assert current_scope() is module._SILENT
