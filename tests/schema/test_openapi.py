"""The OpenAPI document: as existing clients know it, with additions, and valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV30SpecValidator, validate

from cog.prediction.events import Status
from cog.prediction.request import WEBHOOK_EVENTS
from cog.schema.openapi import document
from cog.signature.facts import Default, Parameter, Result, Signature
from cog.signature.kinds import (
    Anything,
    Array,
    Choice,
    Coded,
    File,
    Formatted,
    Integer,
    Kind,
    Mapping,
    Member,
    Null,
    Nullable,
    Number,
    Record,
    SecretText,
    Text,
    Tuple,
    Union,
    Wrapped,
)
from cog.version import __version__

Document = dict[str, Any]

WORKED_EXAMPLE = Signature(
    parameters=(
        Parameter("prompt", Text(), description="Text to continue", min_length=1),
        Parameter("steps", Integer(), Default(20), ge=1, le=50),
        Parameter("style", Text(), Default("plain"), choices=("plain", "bold")),
        Parameter("seed", Nullable(Integer()), Default(None)),
        Parameter("photo", Nullable(File()), Default(None), accept="image/*"),
        Parameter("extra", Union((Text(), Integer())), Default("x")),
        Parameter("key", Nullable(SecretText()), Default(None)),
        Parameter("tags", Array(Text()), Default([])),
    ),
    result=Result(Text(), iterator=True),
    style="generator",
    streaming=True,
)

# What the document says beyond the example, and nothing else.
ADDITIONS = {
    "/components/schemas/ErrorResponse",
    "/components/schemas/PredictionList",
    "/components/schemas/PredictionRequest/properties/context",
    "/components/schemas/PredictionRequest/properties/webhook",
    "/components/schemas/PredictionRequest/properties/webhook_events_filter",
    "/components/schemas/PredictionResponse/properties/completed_at/nullable",
    "/components/schemas/PredictionResponse/properties/error/nullable",
    "/components/schemas/PredictionResponse/properties/started_at/nullable",
    "/components/schemas/PredictionSummary",
    "/paths//live",
    "/paths//predictions/get",
    "/paths//predictions/post/parameters",
    "/paths//predictions/post/responses/200/content/text/event-stream",
    *(f"/paths//predictions/post/responses/{status}" for status in (202, 400, 406, 409, 413, 415, 429, 503)),
    "/paths//predictions/{prediction_id}",
    "/paths//predictions/{prediction_id}/cancel/post/responses/404",
    "/paths//ready",
}


def made(*parameters: Parameter, result: Result | None = None) -> Document:
    output = Result(Text()) if result is None else result
    return cast("Document", document(Signature(parameters, output)))


def components(*parameters: Parameter, result: Result | None = None) -> Document:
    schemas: Document = made(*parameters, result=result)["components"]["schemas"]
    return schemas


def schema_of(parameter: Parameter) -> Document:
    found: Document = components(parameter)["Input"]["properties"][parameter.name]
    return found


def output_of(result: Result) -> Document:
    found: Document = components(result=result)["Output"]
    return found


def additions(expected: object, actual: object, at: str = "") -> Iterator[str]:
    """Where `actual` has something that `expected` has not; anything else that differs fails."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        assert expected.keys() <= actual.keys(), at
        for name, value in actual.items():
            if name in expected:
                yield from additions(expected[name], value, f"{at}/{name}")
            else:
                yield f"{at}/{name}"
    else:
        assert actual == expected, at


def test_the_worked_example() -> None:
    example = json.loads(Path(__file__).with_name("worked_example.json").read_text())
    example["info"]["version"] = __version__
    actual = cast("Document", document(WORKED_EXAMPLE))
    assert set(additions(example, actual)) == ADDITIONS
    listed = [name for name in actual["components"]["schemas"] if name in example["components"]["schemas"]]
    assert listed == list(example["components"]["schemas"])


def test_the_worked_example_is_valid() -> None:
    validate(json.loads(json.dumps(document(WORKED_EXAMPLE))), cls=OpenAPIV30SpecValidator)


def test_the_version_can_be_given() -> None:
    assert cast("Document", document(WORKED_EXAMPLE, version="1.2.3"))["info"]["version"] == "1.2.3"


def test_only_a_streaming_model_says_that_it_streams() -> None:
    paths = made()["paths"]
    assert "x-cog-streaming" not in paths["/predictions"]["post"]
    assert list(paths["/predictions"]["post"]["responses"]["200"]["content"]) == ["application/json"]
    assert "text/event-stream" in paths["/predictions/{prediction_id}"]["get"]["responses"]["200"]["content"]
    streaming = cast("Document", document(WORKED_EXAMPLE))["paths"]["/predictions/{prediction_id}"]
    assert streaming["put"]["x-cog-streaming"] is True
    assert "text/event-stream" in streaming["get"]["responses"]["200"]["content"]


def test_every_refusal_has_the_error_of_the_server() -> None:
    operation = made()["paths"]["/predictions/{prediction_id}"]
    reference = {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}
    for status in ("400", "406", "409", "413", "415", "503"):
        assert operation["put"]["responses"][status]["content"]["application/json"] == reference
    assert operation["get"]["responses"]["404"]["content"]["application/json"] == reference
    assert set(components()["ErrorResponse"]["properties"]) == {"error", "status", "id", "detail"}


def test_names_agree_with_the_life_of_a_prediction() -> None:
    schemas = components()
    assert set(schemas["Status"]["enum"]) == {status.value for status in Status}
    events = schemas["PredictionRequest"]["properties"]["webhook_events_filter"]
    assert events["items"]["enum"] == list(WEBHOOK_EVENTS)


def test_no_required_key_when_nothing_is_required() -> None:
    assert "required" not in components(Parameter("a", Text(), Default("x")))["Input"]
    assert "required" not in components(Parameter("a", Mapping(), opaque_default=True))["Input"]
    assert components(Parameter("a", Nullable(Text())))["Input"]["required"] == ["a"]


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        (
            Parameter("x", Text(), regex="^a", max_length=3, deprecated=True),
            {"title": "X", "type": "string", "pattern": "^a", "maxLength": 3, "deprecated": True},
        ),
        (
            Parameter("x", Array(Integer()), ge=0),
            {"title": "X", "type": "array", "items": {"type": "integer", "minimum": 0}},
        ),
        (
            Parameter("x", Array(Text()), choices=("a", "b")),
            {"title": "X", "type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/x"}]}},
        ),
        (
            Parameter("x", Nullable(Text()), Default(None), choices=("a", "b")),
            {"allOf": [{"$ref": "#/components/schemas/x"}], "nullable": True, "default": None},
        ),
        (
            Parameter("x", Nullable(Union((Text(), Integer()))), Default(None)),
            {
                "title": "X",
                "anyOf": [{"type": "string", "nullable": True}, {"type": "integer", "nullable": True}],
                "nullable": True,
                "default": None,
            },
        ),
        (Parameter("x", Choice(("a", "b"))), {"title": "X", "type": "string", "enum": ["a", "b"]}),
        (Parameter("x", Anything(), Default({"a": 1})), {"title": "X", "default": {"a": 1}}),
        (Parameter("x", Mapping(), opaque_default=True), {"title": "X", "type": "object"}),
        (Parameter("x", Number(), Default(float("inf"))), {"title": "X", "type": "number"}),
    ],
)
def test_property(parameter: Parameter, schema: Document) -> None:
    assert schema_of(parameter) == schema | {"x-order": 0}


def test_a_secret_default_is_not_published() -> None:
    text = json.dumps(made(Parameter("key", SecretText(), Default("hunter2"))))
    assert "hunter2" not in text


def test_choices_have_a_component_of_the_parameters_name() -> None:
    schemas = components(Parameter("size", Integer(), Default(1), choices=(1, 2)))
    assert schemas["size"] == {
        "description": "An enumeration.",
        "enum": [1, 2],
        "title": "size",
        "type": "integer",
    }
    assert list(schemas)[:4] == ["Input", "Output", "size", "PredictionRequest"]


@pytest.mark.parametrize("name", ["Input", "Output", "Status", "PredictionRequest", "größe"])
def test_choices_that_cannot_be_a_component_are_written_in_place(name: str) -> None:
    parameter = Parameter(name, Text(), choices=("a",))
    assert schema_of(parameter)["enum"] == ["a"]
    assert schema_of(parameter)["title"] == name.capitalize()
    schemas = components(parameter)
    assert "enum" not in schemas["Input"]
    assert schemas["Status"]["enum"] != ["a"]
    validate(made(parameter), cls=OpenAPIV30SpecValidator)


@pytest.mark.parametrize(
    ("result", "schema"),
    [
        (Result(Text()), {"title": "Output", "type": "string"}),
        (Result(File()), {"title": "Output", "type": "string", "format": "uri"}),
        (Result(Null()), {"title": "Output", "enum": [None], "nullable": True}),
        (Result(Anything()), {"title": "Output"}),
        (
            Result(Text(), iterator=True, concatenate=True),
            {
                "title": "Output",
                "type": "array",
                "items": {"type": "string"},
                "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate",
            },
        ),
        (
            Result(Record("Point", (Member("x", Nullable(Number()), required=False),))),
            {
                "title": "Output",
                "type": "object",
                "properties": {"x": {"title": "X", "type": "number", "nullable": True}},
            },
        ),
    ],
)
def test_output(result: Result, schema: Document) -> None:
    assert output_of(result) == schema


POINT = Record("Point", (Member("at", Array(Number()), required=True), Member("of", File(), required=False)))
KINDS: tuple[Kind, ...] = (
    Text(), Integer(), Number(), Anything(), Null(), Mapping(), Mapping(Array(Text())), Choice(("a", 1)),
    Array(Nullable(File())), Nullable(Union((Text(), Integer()))), Nullable(Choice((1,))), SecretText(),
    POINT, Array(POINT), Nullable(POINT), Choice((True, 0.5)), Formatted("duration"), Nullable(Formatted("decimal")),
    Tuple(()), Tuple((Integer(), POINT), 1), Array(Tuple((Text(), Text())), "set"), Coded("C"), Union((File(), Coded("C"))),
    Wrapped(Array(File("bytes")), "W"),
)  # fmt: skip
PARAMETERS = st.builds(
    Parameter,
    st.sampled_from(["a", "b_c", "Input", "größe", "ErrorResponse"]),
    st.sampled_from(KINDS),
    st.none() | st.builds(Default, st.none()),
    description=st.none() | st.text(),
    deprecated=st.booleans(),
    choices=st.none() | st.just(("a", "b")),
)


@given(st.lists(PARAMETERS, max_size=2, unique_by=lambda p: p.name), st.sampled_from(KINDS), st.booleans())
@settings(max_examples=30)
def test_every_document_is_valid(parameters: list[Parameter], kind: Kind, iterator: bool) -> None:
    # Defaults are left out: whether one fits its kind is the inspector's to judge.
    plain = [p for p in parameters if p.default is None or isinstance(p.kind, Nullable)]
    written = json.dumps(made(*plain, result=Result(kind, iterator)), allow_nan=False)
    validate(json.loads(written), cls=OpenAPIV30SpecValidator)


def test_a_default_that_is_a_time_of_python_only_is_not_published() -> None:
    moment, clock = Formatted("date-time"), Formatted("time")
    found = document(
        Signature(
            (
                Parameter("naive", moment, Default("2026-01-31T12:00:00")),
                Parameter("naives", Array(Nullable(moment)), Default([None, "2026-01-31T12:00:00"])),
                Parameter("aware", moment, Default("2026-01-31T12:00:00+01:00")),
                Parameter("zoned", clock, Default("12:00:00+01:00")),
                Parameter("clock", clock, Default("12:00:00")),
                Parameter("day", Formatted("date"), Default("2026-01-31")),
            ),
            Result(Text()),
        )
    )
    OpenAPIV30SpecValidator(found).validate()
    schemas: Any = found["components"]
    properties = schemas["schemas"]["Input"]["properties"]
    assert [name for name, each in properties.items() if "default" in each] == ["aware", "clock", "day"]
    assert "required" not in schemas["schemas"]["Input"]
