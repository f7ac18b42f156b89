"""One document for a model that predicts and trains."""

from __future__ import annotations

import json
from typing import Any

from openapi_spec_validator import OpenAPIV30SpecValidator, validate

from cog.schema.openapi import combined, document
from cog.schema.task import PREDICT, TRAIN
from cog.signature.facts import Parameter, Result, Signature
from cog.signature.scalars import Integer, Text


def signature(**choices: tuple[str, ...]) -> Signature:
    return Signature(
        tuple(Parameter(name, Text(), choices=values) for name, values in choices.items()), Result(Integer())
    )


def made(predict: Signature | None, train: Signature) -> Any:
    asked = {TRAIN: train} if predict is None else {PREDICT: predict, TRAIN: train}
    written = json.loads(json.dumps(combined(asked)))
    validate(written, cls=OpenAPIV30SpecValidator)
    return written


def test_the_predictions_stand_as_if_they_were_alone() -> None:
    predict = signature(style=("a", "b"), mode=("x",))
    both, alone = (
        made(predict, signature(style=("c",), mode=("x",))),
        json.loads(json.dumps(document(predict))),
    )
    for group in ("paths",), ("components", "schemas"):
        whole, part = both, alone
        for key in group:
            whole, part = whole[key], part[key]
        assert {name: whole[name] for name in part} == part


def test_a_choice_is_shared_when_it_is_the_same_and_written_in_place_when_not() -> None:
    schemas = made(
        signature(style=("a", "b"), mode=("x",)), signature(style=("c",), mode=("x",), own=("y",))
    )["components"]["schemas"]
    found = schemas["TrainingInput"]["properties"]
    assert found["style"] == {"enum": ["c"], "title": "Style", "type": "string", "x-order": 0}
    assert found["mode"]["allOf"] == [{"$ref": "#/components/schemas/mode"}]
    assert found["own"]["allOf"] == [{"$ref": "#/components/schemas/own"}]
    assert (schemas["style"]["enum"], schemas["own"]["enum"]) == (["a", "b"], ["y"])


def test_no_choice_takes_the_name_of_a_component_of_the_other() -> None:
    schemas = made(signature(TrainingInput=("a",)), signature(Output=("b",)))["components"]["schemas"]
    assert schemas["TrainingInput"]["type"] == "object"
    assert schemas["Input"]["properties"]["TrainingInput"]["enum"] == ["a"]
    assert schemas["TrainingInput"]["properties"]["Output"]["enum"] == ["b"]


def test_a_server_that_only_trains_says_nothing_of_predictions() -> None:
    whole = made(None, signature(style=("a",)))
    assert list(whole["components"]["schemas"])[:5] == [
        "TrainingInput", "TrainingOutput", "style", "TrainingRequest", "TrainingResponse"
    ]  # fmt: skip
    assert "rediction" not in json.dumps([*whole["paths"], *whole["components"]["schemas"]])
