"""J31: /trainings runs train(), /predictions runs run(), and neither stands in for the other. J32, where both have one document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.serving import Server

Served = Callable[..., Server]

BOTH = """
from cog import BaseRunner, Input

class Runner(BaseRunner):
    def run(self, style: str = Input(default="plain", choices=["plain", "bold"])) -> str:
        open("predicted", "a").close()
        return style

def train(style: str = Input(default="slow", choices=["slow", "fast"])) -> str:
    open("trained", "a").close()
    return "trained " + style
"""
CONFIG = 'run: "run.py:Runner"\ntrain: "run.py:train"\n'


@pytest.fixture(scope="module")
def alone(served_once: Served) -> Server:
    """A model without a training function."""
    return served_once(BOTH)


@pytest.fixture(scope="module")
def both(served_once: Served) -> Server:
    return served_once(BOTH, config=CONFIG)


@pytest.fixture(scope="module")
def training(served_once: Served) -> Server:
    return served_once(BOTH, "--x-mode", "train", config=CONFIG, env={"COG_TRAIN_TYPE_STUB": "run.py:train"})


def ran(server: Server) -> set[str]:
    """Which of the two has run since the last time."""
    found = {name for name in ("predicted", "trained") if (server.folder / name).exists()}
    for name in found:
        Path(server.folder, name).unlink()
    return found


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/trainings"), ("PUT", "/trainings/a"), ("POST", "/trainings/a/cancel")]
)
def test_j31_without_train_there_are_no_trainings(alone: Server, method: str, path: str) -> None:
    answer = alone.call(method, path, {"input": {}})
    assert answer.status == 404
    assert ran(alone) == set()


def test_j31_each_runs_its_own(both: Server) -> None:
    trained = both.call("POST", "/trainings", {"input": {"style": "fast"}}).json()
    assert (trained["output"], ran(both)) == ("trained fast", {"trained"})
    predicted = both.predict({"style": "bold"}).json()
    assert (predicted["output"], ran(both)) == ("bold", {"predicted"})


def test_j31_a_server_that_trains_does_not_predict(training: Server) -> None:
    for method, path in (
        ("POST", "/predictions"),
        ("PUT", "/predictions/a"),
        ("POST", "/predictions/a/cancel"),
    ):
        assert training.call(method, path, {"input": {}}).status == 404
    assert ran(training) == set()
    answer = training.call("POST", "/trainings", {"input": {}}).json()
    assert (answer["output"], ran(training)) == ("trained slow", {"trained"})


def choices(document: Any, component: str, name: str) -> list[str]:
    """The words that an input may be, wherever the document lists them."""
    schemas = document["components"]["schemas"]
    found = schemas[component]["properties"][name]
    for reference in found.get("allOf", []):
        found = schemas[reference["$ref"].rpartition("/")[2]]
    words: list[str] = found["enum"]
    return words


def test_j32_both_have_their_choices_in_one_document(both: Server) -> None:
    document = both.get("/openapi.json").json()
    assert choices(document, "Input", "style") == ["plain", "bold"]
    assert choices(document, "TrainingInput", "style") == ["slow", "fast"]
