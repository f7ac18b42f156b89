"""How predictions end: what is kept of failed and canceled ones, errors and tracebacks, and the times of it all."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from support.serving import Server, until
from support.steps import body, fresh, let_go, model

ERRORS = """
    import sys
    from typing import Iterator
    from cog import BaseRunner

    class Broken(Exception):
        def __str__(self):
            raise ValueError("not even this")

    def inner(how):
        if how == "value":
            raise ValueError("bad thing")
        if how == "empty":
            raise RuntimeError
        if how == "cause":
            try:
                {}["missing"]
            except KeyError as error:
                raise ValueError("outer") from error
        if how == "deep":
            return inner(how)
        if how == "exit":
            sys.exit(3)
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "memory":
            raise MemoryError("too much")
        if how == "str":
            raise Broken
        if how == "long":
            raise ValueError("x" * 9_000_000)
        if how == "lines":
            raise ValueError("one\\ntwo ä \\ud800")

    class Runner(BaseRunner):
        def run(self, how: str) -> Iterator[str]:
            print("before")
            yield "first"
            yield "second"
            inner(how)
            yield "never"
"""


@pytest.fixture(scope="module")
def errors(serve_once: Any) -> Server:
    started: Server = serve_once(ERRORS)
    return started


@pytest.fixture(scope="module")
def server(serve_once: Any) -> Server:
    started: Server = serve_once(model("sync"))
    return started


@pytest.fixture(scope="module")
def generator(serve_once: Any) -> Server:
    started: Server = serve_once(model("generator"))
    return started


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("value", "ValueError: bad thing"),
        ("empty", "RuntimeError"),
        ("cause", "ValueError: outer"),
        ("exit", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
        ("memory", "MemoryError: too much"),
        ("str", "Broken: (its text cannot be had: ValueError in __str__)"),
        ("lines", "ValueError: one\ntwo ä \ufffd"),
    ],
)
def test_the_error_is_the_exception(errors: Server, how: str, error: str) -> None:
    answer = errors.predict({"how": how})
    shown = answer.json()
    assert (answer.status, shown["status"], shown["error"]) == (200, "failed", error)
    assert shown["metrics"]["predict_time"] > 0
    assert shown["completed_at"] >= shown["started_at"] >= shown["created_at"]


def test_a_failed_one_keeps_its_logs_and_partial_output(errors: Server) -> None:
    shown = errors.predict({"how": "value"}).json()
    assert shown["output"] == ["first", "second"]
    assert shown["logs"].startswith("before\nTraceback (most recent call last):\n")
    assert errors.get(f"/predictions/{shown['id']}").json() == shown


def test_the_traceback_has_the_models_frames_only(errors: Server) -> None:
    logs = errors.predict({"how": "cause"}).json()["logs"]
    files = [line.split('"')[1] for line in logs.splitlines() if line.startswith('  File "')]
    assert set(files) == {str(errors.folder / "run.py")}
    assert "in run\n" in logs
    assert "in inner\n" in logs
    assert "KeyError: 'missing'\n" in logs
    assert "direct cause" in logs
    assert logs.endswith("ValueError: outer\n")
    assert logs.index("KeyError") < logs.index("ValueError: outer")


def test_an_endless_recursion_fails_that_prediction_alone(errors: Server) -> None:
    shown = errors.predict({"how": "deep"}).json()
    assert shown["status"] == "failed"
    assert shown["error"].startswith("RecursionError: maximum recursion depth exceeded")
    assert len(shown["logs"]) < 100_000
    assert errors.predict({"how": ""}).json()["output"] == ["first", "second", "never"]


def test_a_huge_error_text_is_cut(errors: Server) -> None:
    shown = errors.predict({"how": "long"}).json()
    assert shown["error"].startswith("ValueError: xxx")
    assert shown["error"].endswith("(9,000,000 characters in all)")
    assert len(shown["error"]) < 70_000
    assert errors.predict({"how": ""}).json()["status"] == "succeeded"


def test_a_traceback_is_also_in_the_servers_log(errors: Server) -> None:
    shown = errors.predict({"how": "value"}).json()

    def told() -> list[dict[str, Any]]:
        return [line["fields"] for line in errors.lines if line["fields"].get("prediction_id") == shown["id"]]

    lines = until(told, lambda lines: len(lines) == len(shown["logs"].splitlines()))
    assert [line["message"] for line in lines] == shown["logs"].splitlines()
    assert lines[0]["source"] == "stdout"
    assert {line["source"] for line in lines[1:]} == {"stderr"}


def test_a_canceled_one_keeps_its_logs_and_partial_output(generator: Server) -> None:
    gate = fresh()
    code = body("print('hi')\nyield 1\nprint('there', end='')\nyield 2\ngate($gate)\nyield 3", gate=gate)
    answers: list[Any] = []
    name = fresh()
    client = threading.Thread(target=lambda: answers.append(generator.predict(code, fields={"id": name})))
    client.start()
    generator.wait_file(gate)
    assert generator.call("POST", f"/predictions/{name}/cancel").status == 200
    client.join(20)
    shown = answers[0].json()
    assert (answers[0].status, shown["status"], shown["error"]) == (200, "canceled", None)
    assert shown["output"] == [1, 2]
    assert shown["logs"] == "hi\nthere"
    assert shown["metrics"]["predict_time"] > 0
    assert generator.get(f"/predictions/{name}").json() == shown


def test_a_generator_without_items_gives_an_empty_list(generator: Server) -> None:
    shown = generator.predict(body("if False: yield")).json()
    assert (shown["status"], shown["output"]) == ("succeeded", [])


def test_the_output_so_far_is_seen_while_it_runs(generator: Server) -> None:
    gate = fresh()
    running = generator.start_async(body("yield 'a'\nyield 'b'\ngate($gate)\nyield 'c'", gate=gate))
    generator.wait_file(gate)
    shown = generator.get(f"/predictions/{running}").json()
    assert (shown["status"], shown["output"]) == ("processing", ["a", "b"])
    assert "predict_time" not in shown["metrics"]
    let_go(generator, gate)
    assert generator.wait_for(running)["output"] == ["a", "b", "c"]


def test_predict_time_is_the_models_own(server: Server) -> None:
    code = "start = time.perf_counter()\nwhile time.perf_counter() - start < 0.05: pass\nreturn time.perf_counter() - start"
    shown = server.predict(body(code)).json()
    assert shown["output"] <= shown["metrics"]["predict_time"] < shown["output"] + 0.05
    assert list(shown["metrics"]) == ["predict_time"]


def test_metrics_of_the_model_stand_beside_the_time(server: Server) -> None:
    code = """
        self = __import__("cog").current_scope()
        self.record_metric("tokens", 2**70)
        self.record_metric("steps", 1, "incr")
        self.record_metric("steps", 2, "incr")
        self.record_metric("a.b", "x")
    """
    shown = server.predict(body(code)).json()
    metrics = shown["metrics"]
    assert metrics.pop("predict_time") > 0
    assert metrics == {"tokens": 2**70, "steps": 3, "a": {"b": "x"}}
