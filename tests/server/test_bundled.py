"""A schema file that came with the model is compared with it, and decides nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cog.server.bundled import NAME, differences
from support.serving import Server, write_model

MODEL = """
from cog import BaseRunner, Input

class Runner(BaseRunner):
    def run(self, text: str = "", steps: int = 3, style: str = Input(default="a", choices=["a", "b"])) -> str:
        return text * steps
"""


def document(**inputs: Any) -> dict[str, Any]:
    """An OpenAPI document whose inputs are these."""
    choice = {"enum": ["a"], "type": "string"}
    return {"components": {"schemas": {"style": choice, "Input": {"type": "object", "properties": inputs}}}}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
CHOICE = {"allOf": [{"$ref": "#/components/schemas/style"}], "default": "a"}
ANY = {"anyOf": [TEXT, NUMBER]}


@pytest.mark.parametrize(
    ("bundled", "live", "told"),
    [
        ({}, {}, []),
        ({"a": TEXT, "b": CHOICE}, {"b": TEXT, "a": {**TEXT, "minLength": 3}}, []),
        ({"a": ANY, "b": NUMBER}, {"a": TEXT, "b": ANY}, []),
        ({"a": TEXT}, {"b": TEXT}, ["the model has no input a", "it lacks the input b"]),
        ({"a": TEXT}, {"a": NUMBER}, ["the input a is an integer, not a string"]),
        ({"a": CHOICE}, {"a": NUMBER}, ["the input a is an integer, not a string"]),
    ],
)
def test_what_differs(bundled: dict[str, Any], live: dict[str, Any], told: list[str]) -> None:
    assert list(differences(document(**bundled), document(**live))) == told


@pytest.mark.parametrize(
    "bundled", [None, [], {}, {"components": []}, {"components": {"schemas": {"Input": 1}}}]
)
def test_what_is_no_document_is_an_error_of_the_named_kinds(bundled: Any) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        list(differences(bundled, document()))


@pytest.mark.parametrize(
    ("bundled", "warned"),
    [
        (document(text=TEXT, steps=NUMBER, style=CHOICE), ""),
        (document(text=NUMBER, old=TEXT, style=CHOICE), "is not of this model: the model has no input old; "),
        ("no document", "cannot be read as an OpenAPI document"),
    ],
    ids=["the same", "another", "none"],
)
def test_the_model_itself_counts(
    serve: Callable[..., Server], tmp_path: Path, bundled: object, warned: str
) -> None:
    folder = write_model(tmp_path / "model", MODEL)
    (folder / ".cog").mkdir()
    (folder / NAME).write_text("{" if bundled == "no document" else json.dumps(bundled))
    server = serve(folder)
    assert server.predict({"text": "ab", "steps": 2}).json()["output"] == "abab"
    assert server.predict({"text": 5}).status == 422
    assert list(server.get("/openapi.json").json()["components"]["schemas"]["Input"]["properties"]) == [
        "text", "steps", "style",
    ]  # fmt: skip
    warnings = [line["fields"]["message"] for line in server.lines if line["level"] == "WARNING"]
    assert len(warnings) == bool(warned)
    assert all(text.startswith(NAME) and warned in text for text in warnings)
