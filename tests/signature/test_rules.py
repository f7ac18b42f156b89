"""The rules of a whole input: kinds, choices, limits; every problem at once, each at its place."""

from __future__ import annotations

import pytest

from cog.errors import Problem
from cog.signature.facts import Default, Parameter, Result, Signature
from cog.signature.kinds import (
    Array,
    File,
    Integer,
    Kind,
    Mapping,
    Nullable,
    Number,
    SecretText,
    Text,
)
from cog.signature.rules import LIMIT, check_input, check_parameter


def signature(*parameters: Parameter) -> Signature:
    return Signature(parameters, Result(Text()))


def messages(parameter: Parameter, value: object) -> list[str]:
    return [problem.msg for problem in check_parameter(parameter, value, ("body", "input", "x"))]


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (Parameter("x", Text(), min_length=2), "a", '"a" is shorter than 2 characters'),
        (Parameter("x", Text(), min_length=1), "", '"" is shorter than 1 character'),
        (Parameter("x", Text(), max_length=5), "abcdefg", '"abcdefg" is longer than 5 characters'),
        (Parameter("x", Text(), regex="^a"), "bb", '"bb" does not match "^a"'),
        (Parameter("x", Integer(), ge=1), 0, "0 is less than the minimum of 1"),
        (Parameter("x", Integer(), le=10), 11, "11 is greater than the maximum of 10"),
        (Parameter("x", Number(), le=0.5), 0.75, "0.75 is greater than the maximum of 0.5"),
        (Parameter("x", Text(), choices=("x", "y")), "z", '"z" is not one of ["x","y"]'),
        (Parameter("x", Integer(), choices=(1, 2)), 3, "3 is not one of [1,2]"),
        (Parameter("x", Nullable(Integer()), ge=1), 0, "0 is less than the minimum of 1"),
        (Parameter("x", Text(), min_length=3), 5, '5 is not of type "string"'),
        (Parameter("x", Integer(), choices=(0, 1)), True, 'true is not of type "integer"'),
        (Parameter("x", Nullable(Text())), 5, '5 is not of type "string"'),
    ],
)
def test_message(parameter: Parameter, value: object, message: str) -> None:
    assert messages(parameter, value) == [message]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Parameter("x", Text(), regex="b"), "abc"),  # anywhere in the text
        (Parameter("x", Text(), min_length=1, max_length=1), "😀"),  # characters, not bytes
        (Parameter("x", Integer(), ge=1, le=2), 2.0),
        (Parameter("x", Integer(), choices=(1, 2)), 2.0),
        (Parameter("x", Integer(), ge=0), 10**30),
        (Parameter("x", Number(), le=2**53), 2**53 + 1),  # the float that the model gets is the bound itself
        (Parameter("x", Nullable(Text()), choices=("a",)), None),
        (Parameter("x", Nullable(Integer()), ge=1), None),
    ],
)
def test_accepted(parameter: Parameter, value: object) -> None:
    assert messages(parameter, value) == []


def test_several_rules_are_all_named() -> None:
    parameter = Parameter("x", Text(), min_length=3, regex="^b", choices=("bbb",))
    assert messages(parameter, "a") == [
        '"a" is shorter than 3 characters',
        '"a" does not match "^b"',
        '"a" is not one of ["bbb"]',
    ]


def test_the_rules_of_a_list_are_those_of_its_items() -> None:
    parameter = Parameter("x", Nullable(Array(Integer())), ge=1)
    problems = list(check_parameter(parameter, [0, 1, "a", -1], ("body", "input", "x")))
    assert [(p.loc[3], p.msg) for p in problems] == [
        (0, "0 is less than the minimum of 1"),
        (2, '"a" is not of type "integer"'),
        (3, "-1 is less than the minimum of 1"),
    ]
    assert messages(Parameter("x", Array(Text()), choices=("a", "b")), ["a", "c"]) == [
        '"c" is not one of ["a","b"]'
    ]


def test_a_secret_is_never_shown() -> None:
    limits = Parameter("x", SecretText(), min_length=20, regex="^q", choices=("other",))
    found = messages(limits, "hunter2")
    assert len(found) == 3
    assert all(message.startswith('"**********" ') and "hunter2" not in message for message in found)
    (problem,) = check_input(signature(Parameter("key", SecretText())), ["hunter2"])
    assert problem.msg == '"**********" is not of type "object"'


def test_an_input_names_every_wrong_field_at_once() -> None:
    model = signature(
        Parameter("prompt", Text()),
        Parameter("steps", Integer(), Default(20), ge=1, le=50),
        Parameter("l", Array(Text()), Default([])),
        Parameter("needed", Text()),
        Parameter("opaque", Mapping(), opaque_default=True),
    )
    assert check_input(model, {"prompt": 5, "steps": 0, "l": [1], "unknown": object}) == [
        Problem(("body", "input", "prompt"), '5 is not of type "string"'),
        Problem(("body", "input", "steps"), "0 is less than the minimum of 1"),
        Problem(("body", "input", "l", 0), '1 is not of type "string"'),
        Problem(("body", "input", "needed"), "Field required", "value_error.missing"),
    ]
    assert check_input(model, {"prompt": "", "needed": ""}) == []


@pytest.mark.parametrize("value", [None, [], "text", 5, True])
def test_an_input_is_an_object(value: object) -> None:
    (problem,) = check_input(signature(), value)
    assert problem.loc == ("body", "input")
    assert problem.msg.endswith('is not of type "object"')


@pytest.mark.parametrize("kind", [File(), Nullable(File()), Array(File())])
def test_local_files_are_a_choice_of_the_server(kind: Kind) -> None:
    model = signature(Parameter("photo", kind))
    value = {"photo": ["/tmp/a.png"] if isinstance(kind, Array) else "/tmp/a.png"}
    assert len(check_input(model, value)) == 1
    assert check_input(model, value, local_files=True) == []


def test_the_list_of_problems_is_bounded() -> None:
    problems = check_input(signature(Parameter("l", Array(Text()))), {"l": [1] * 100_000})
    assert len(problems) == LIMIT + 1
    assert problems[-1].loc == ("body", "input")
    assert "1,000" in problems[-1].msg
