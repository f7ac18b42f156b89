"""`examples/summarize` finds the sentences that the others are about."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.serving import Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

ABOUT = [
    "The lighthouse keeper repairs the old lamp of the lighthouse.",
    "Every evening the keeper lights the lamp.",
    "The lamp of the lighthouse guides the fishing boats home.",
]
ASIDE = ["Radishes are cheap this year.", "My uncle once owned a zeppelin.", "Tuesday was unusually warm."]


@pytest.fixture(scope="module")
def server(serve_once: Callable[..., Server]) -> Server:
    return serve_once(EXAMPLES / "summarize")


def output(server: Server, **given: Any) -> str:
    prediction = server.predict(given).json()
    assert prediction["status"] == "succeeded", prediction
    return "".join(prediction["output"])


def test_the_summary_is_what_most_sentences_are_about(server: Server) -> None:
    for seed in range(5):
        text = [*ABOUT, *ASIDE]
        random.Random(seed).shuffle(text)
        wanted = [sentence for sentence in text if sentence in ABOUT]  # in the order of the text
        assert output(server, text=" ".join(text), sentences=3) == " ".join(wanted)


def test_a_file_is_summarized_too(server: Server) -> None:
    url = "data:text/plain;base64," + base64.b64encode("Ein Satz. Noch einer über Öl.".encode()).decode()
    assert output(server, file=url) == "Ein Satz. Noch einer über Öl."


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("It cost 3.50 at e.g. the mill. 12 came.", ["It cost 3.50 at e.g. the mill.", "12 came."]),
        ("A title\n\nAnd its text", ["A title", "And its text"]),
        ("...", ["..."]),
    ],
)
def test_sentences_are_told_apart(server: Server, text: str, sentences: list[str]) -> None:
    prediction = server.predict({"text": text, "sentences": 50}).json()
    assert "".join(prediction["output"]) == " ".join(sentences)
    assert prediction["logs"] == f"{len(sentences)} of {len(sentences)} sentences\n"


def test_nothing_to_summarize_is_told(server: Server) -> None:
    prediction = server.predict({"text": " \n "}).json()
    assert prediction["status"] == "failed"
    assert prediction["error"] == "ValueError: there is nothing to summarize: give `text` or `file`"
