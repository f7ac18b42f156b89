"""What a model records, and the context it was called with: in answers, webhooks and events, the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from support.receiving import receiving
from support.serving import Server
from support.steps import body, fresh, let_go
from support.streams import ASYNC, SYNC, streaming, told

RECORDING = """
    scope = current_scope()
    assert self_scope() is scope
    scope.record_metric("tokens.out", 1)
    scope.record_metric("tokens.out", 2, mode="incr")
    scope.record_metric("tokens.out", 3, mode="increment")
    scope.metrics["loss"] = 0.5
    scope.metrics.record("steps", "a", "append")
    scope.metrics.record("steps", "b", "append")
    scope.metrics["gone"] = [1]
    del scope.metrics["gone"]
    yield dict(scope.context)
    WAIT($name)
    scope.record_metric("big", 2**70)
"""
SHOWN = {"tokens": {"out": 6}, "loss": 0.5, "steps": ["a", "b"]}
TOLD = [
    ("tokens.out", 1, "replace"),
    ("tokens.out", 2, "increment"),
    ("tokens.out", 3, "increment"),
    ("loss", 0.5, "replace"),
    ("steps", "a", "append"),
    ("steps", "b", "append"),
    ("gone", [1], "replace"),
    ("gone", None, "replace"),
    ("big", 2**70, "replace"),
]
SCOPE = "\nself_scope = lambda: BaseRunner().scope\n"


@pytest.fixture(scope="module", params=["def", "async def"])
def server(serve_once: Any, request: pytest.FixtureRequest) -> Server:
    found: Server = serve_once((ASYNC if request.param == "async def" else SYNC) + SCOPE)
    found.wait = "await gate" if request.param == "async def" else "gate"  # type: ignore[attr-defined]
    return found


def test_figures_and_context_are_the_same_everywhere(server: Server) -> None:
    name = fresh()
    code = body(RECORDING.replace("WAIT", server.wait), name=name)  # type: ignore[attr-defined]
    with receiving() as hook:
        fields = {"context": {"who": "me"}, "webhook": hook.url, "id": name}
        with streaming(server, body={"input": code, **fields}) as stream:
            server.wait_file(name)
            for answer in (
                server.get(f"/predictions/{name}"),
                server.call("PUT", f"/predictions/{name}", {"context": {"who": "another"}}),
            ):
                shown = answer.json()
                assert (shown["status"], shown["output"]) == ("processing", [{"who": "me"}])
                assert shown["metrics"] == SHOWN
            let_go(server, name)
            events = [event.data for event in told(stream) if event.name in ("metric", "completed")]
        got = hook.wait_until(lambda got: bool(got) and got[-1].json()["completed_at"] is not None)
    assert [(event["name"], event["value"], event["mode"]) for event in events[:-1]] == TOLD
    kept = server.get(f"/predictions/{name}").json()
    predict_time = kept["metrics"].pop("predict_time")
    assert kept["metrics"] == {**SHOWN, "big": 2**70}
    for last in (events[-1], got[-1].json()):
        assert last["metrics"] == {**SHOWN, "big": 2**70, "predict_time": predict_time}
    assert predict_time > 0
    unfinished = [one.json()["metrics"] for one in got[:-1]]
    assert unfinished[-1].items() >= SHOWN.items()
    assert "predict_time" not in unfinished[-1]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("record('predict_time.x', 1)", "ValueError: the metric name 'predict_time.x' is reserved"),
        ("record('a__b', 1)", "ValueError: 'a__b' cannot be the name of a metric"),
        ("record('loss', float('nan'))", "ValueError: metric 'loss' is nan"),
        ("record('a', 1); record('a', 'x')", "TypeError: metric 'a' holds int values and cannot take a str"),
        ("record('a', 1, 'sum')", "TypeError: metric 'a' has the unknown mode 'sum'"),
        ("record('a', object())", "TypeError: metric 'a' is a object"),
    ],
)
def test_a_figure_that_breaks_a_rule_fails_the_prediction(server: Server, code: str, error: str) -> None:
    steps = f"record = current_scope().record_metric\nrecord('good', 1)\n{code}\nyield 1"
    answer = server.predict({"code": steps}).json()
    assert answer["status"] == "failed"
    assert answer["error"].startswith(error)
    assert answer["metrics"]["good"] == 1


@pytest.mark.parametrize(
    ("code", "metrics", "logs"),
    [
        ("record('a.b', 1); record('a', 2, 'incr')", {"a": 2}, ""),
        ("record('a', {'x': 's'}); record('a.x', 2, 'incr')", {"a": {"x": 2}}, ""),
        ("record('a', 1e308); record('a', 1e308, 'incr')", {"a": 1e308}, "was not incremented"),
        ("record('queue_time', 'mine')", {"queue_time": "mine"}, ""),
    ],
)
def test_what_does_not_add_up_harms_nobody(
    server: Server, code: str, metrics: dict[str, Any], logs: str
) -> None:
    """The first of these once took the slot for ever."""
    answer = server.predict({"code": f"record = current_scope().record_metric\n{code}\nyield 1"}).json()
    assert answer["status"] == "succeeded"
    del answer["metrics"]["predict_time"]
    assert answer["metrics"] == metrics
    assert logs in answer["logs"]
    assert server.predict({"code": "yield 2"}).json()["output"] == [2]


def test_a_context_is_of_one_prediction_only(server: Server) -> None:
    code = {"code": "scope = current_scope()\nyield dict(scope.context)\nscope.context['left'] = 'x'"}
    with_context = server.predict(code, fields={"context": {"a": "1"}}).json()
    assert with_context["output"] == [{"a": "1"}]
    assert server.predict(code).json()["output"] == [{}]
