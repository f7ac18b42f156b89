"""J42 and J45: what was documented works, and a metric that cannot be is refused. J20 and J21, where weights and metrics
come in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.serving import Server

Served = Callable[..., Server]

DOCUMENTED = """
import os
from typing import Any, Literal, Optional
from cog import BaseModel, BaseRunner

class Answer(BaseModel):
    text: str
    note: Optional[str]

class Runner(BaseRunner):
    def run(self, kind: Literal["literal", "omission", "path", "metric"], file: os.PathLike = None) -> Any:
        if kind == "literal":
            return kind
        if kind == "omission":
            return Answer(text="a")
        if kind == "path":
            return [isinstance(file, os.PathLike), open(file).read()]
        self.record_metric("steps", 1)
        self.record_metric("gone", 1)
        self.record_metric("gone", None)
        return None
"""


@pytest.fixture(scope="module")
def documented(served_once: Served) -> Server:
    return served_once(DOCUMENTED)


def test_j42_docs_is_a_page(documented: Server) -> None:
    assert documented.get("/").json()["docs_url"] == "/docs"
    page = documented.get("/docs")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("literal", "literal"),
        ("omission", {"text": "a", "note": None}),
        ("path", [True, "content"]),
    ],
)
def test_j42_documented_types_work(documented: Server, kind: str, output: object) -> None:
    answer = documented.predict({"kind": kind, "file": "data:text/plain,content"}).json()
    assert (answer.get("output"), answer.get("error")) == (output, None)


def test_j42_a_literal_is_checked(documented: Server) -> None:
    answer = documented.predict({"kind": "another"})
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "input", "kind"]


def test_j42_a_metric_of_none_is_deleted(documented: Server) -> None:
    answer = documented.predict({"kind": "metric"}).json()
    assert answer.get("error") is None
    assert set(answer["metrics"]) == {"steps", "predict_time"}


def test_j42_exceptions_are_where_the_documentation_says() -> None:
    import cog
    from cog.exceptions import CancelationException

    assert CancelationException is cog.CancelationException


METRICS = """
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, name: str, number: int = 2**70) -> int:
        self.record_metric(name, number)
        return number
"""


@pytest.fixture(scope="module")
def metrics(served_once: Served) -> Server:
    return served_once(METRICS)


@pytest.mark.parametrize("name", ["predict_time.x", "predict_time"])
def test_j45_a_name_that_is_taken_is_refused(metrics: Server, name: str) -> None:
    answer = metrics.predict({"name": name}).json()
    assert answer["status"] == "failed"
    assert "ValueError: " in answer["error"]
    assert name in answer["error"]
    assert isinstance(answer["metrics"]["predict_time"], float)


def test_j21_integers_survive_in_metrics(metrics: Server) -> None:
    answer = metrics.predict({"name": "big"})
    assert b'"big":1180591620717411303424' in answer.body.replace(b" ", b"")


WEIGHTED = """
import pathlib
from cog import BaseRunner, Path

class Runner(BaseRunner):
    def setup(self, weights: 'Path | None' = None) -> None:
        self.weights = weights

    def run(self) -> list:
        found = self.weights
        return [isinstance(found, pathlib.Path), isinstance(found, str), str(found)]
"""
URL = "https://example.com/weights.tar"


def test_j20_weights_are_what_setup_declares(served: Served) -> None:
    """A URL is fetched when the model asks for it, which may well have a quicker way."""
    server = served(WEIGHTED, env={"COG_WEIGHTS": URL})
    assert server.predict({}).json()["output"] == [True, False, URL]
