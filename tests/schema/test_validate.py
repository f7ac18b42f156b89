"""The fast check and the complete one: they agree, and a client is told everything at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cog.errors import InvalidRequest, Problem, SignatureError
from cog.schema.validate import LARGE, Validator
from cog.signature.facts import Default, Parameter, Result, Signature
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
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
from cog.signature.rules import check_input


def signature(*parameters: Parameter) -> Signature:
    return Signature(parameters, Result(Text()))


def validator(*parameters: Parameter, local_files: bool = False) -> Validator:
    return Validator(signature(*parameters), local_files=local_files)


def refusal(checker: Validator, raw: bytes) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(InvalidRequest) as caught:
        checker.check(raw)
    return [(problem.loc, problem.msg) for problem in caught.value.problems]


MODEL = validator(
    Parameter("prompt", Text(), min_length=1, max_length=10, regex="[a-z]"),
    Parameter("steps", Integer(), Default(20), ge=1, le=50),
    Parameter("scale", Number(), Default(1.0), ge=0),
    Parameter("style", Text(), Default("plain"), choices=("plain", "bold")),
    Parameter("seed", Nullable(Integer()), Default(None)),
    Parameter("photo", Nullable(File()), Default(None)),
    Parameter("either", Union((Text(), Integer())), Default("x")),
    Parameter("flags", Array(Boolean()), Default([])),
    Parameter("more", Mapping(), Default({})),
    Parameter("key", Nullable(SecretText()), Default(None)),
)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"prompt":"a"}',
        b' {"prompt" : "a", "steps": 50, "scale": 3, "style": "bold", "seed": null} ',
        b'{"prompt":"a","photo":"HTTPS://host/x","either":5,"flags":[true],"more":{"a":[1.5,null]}}',
        b'{"prompt":"a","photo":null,"either":"y","key":"s","seed":123456789012345678901234567890}',
        b'{"prompt":"a","photo":"data:,","key":null}',
        b'{"pr\\u006fmpt":"a"}',
        b'{"prompt":"a","prompt":"b"}',
    ],
)
def test_the_fast_check_accepts(raw: bytes) -> None:
    assert MODEL.check(raw) is True


@pytest.mark.parametrize(
    "raw",
    [
        b'{"prompt":"a","unknown":{}}',
        b'{"prompt":"a","steps":2.0}',
        b'{"prompt":"a","steps":2e1}',
        b'{"prompt":5,"prompt":"a"}',  # the last one wins
        b'{"prompt":"a\\ud800"}',
    ],
)
def test_the_complete_check_accepts(raw: bytes) -> None:
    assert MODEL.check(raw) is False


def test_every_wrong_field_at_once() -> None:
    raw = (
        b'{"prompt":"","steps":1.5,"scale":-1,"style":"q","seed":true,"photo":"/etc/hostname","either":1.5,'
        b'"flags":[true,0],"more":[],"key":5}'
    )
    found = refusal(MODEL, raw)
    assert [loc[2:] for loc, _ in found] == [
        ("prompt",), ("prompt",), ("steps",), ("scale",), ("style",), ("seed",), ("photo",), ("either",),
        ("flags", 1), ("more",), ("key",),
    ]  # fmt: skip
    assert found[2][1] == '1.5 is not of type "integer"'
    assert found[-1][1] == '"**********" is not of type "string"'
    assert refusal(MODEL, b"{}") == [(("body", "input", "prompt"), "Field required")]


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"a"', b"5", b"true"])
def test_an_input_is_an_object(raw: bytes) -> None:
    ((loc, message),) = refusal(MODEL, raw)
    assert loc == ("body", "input")
    assert message.endswith('is not of type "object"')


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"", "JSON"),
        (b'{"prompt":"a"', "JSON"),
        (b'{"prompt":"a"} x', "JSON"),
        (b'{"prompt":"\xff"}', "utf-8"),
        (b'\xef\xbb\xbf{"prompt":"a"}', "JSON"),
        ('{"prompt":"a"}'.encode("utf-16"), "JSON"),
        (b'{"prompt":"a","more":{"a":NaN}}', "NaN"),
        (b'{"prompt":"a","more":{"a":-Infinity}}', "-Infinity"),
        (b'{"prompt":"a","more":{"a":1e400}}', "out of range"),
        (b'{"prompt":"a","scale":1' + b"0" * 400 + b"}", "out of range"),
        (b'{"prompt":"a","seed":1' + b"0" * 5000 + b"}", "4,300"),
    ],
)
def test_what_cannot_be_read(raw: bytes, part: str) -> None:
    ((_, message),) = refusal(MODEL, raw)
    assert part in message


def test_too_deep_nesting() -> None:
    depth = 1_000_000
    raw = b'{"prompt":"a","more":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    ((loc, message),) = refusal(MODEL, raw)
    assert loc == ("body", "input")
    assert "nested too deep" in message


def test_nesting_of_a_hundred_is_fine() -> None:
    assert MODEL.check(b'{"prompt":"a","more":{"a":' + b"[" * 125 + b"]" * 125 + b"}}")


def test_a_model_without_inputs() -> None:
    assert validator().check(b"{}") is True
    assert validator().check(b'{"a":1}') is False


@pytest.mark.parametrize("name", ["self", "class", "__struct_fields__", "größe", "p0", "None", "__init__"])
def test_a_parameter_may_be_called_anything(name: str) -> None:
    checker = validator(Parameter("first", Text(), Default("")), Parameter(name, Integer()))
    assert checker.check(json.dumps({name: 1}, ensure_ascii=False).encode()) is True
    assert refusal(checker, b"{}") == [(("body", "input", name), "Field required")]


def test_a_required_parameter_after_an_optional_one() -> None:
    checker = validator(Parameter("a", Text(), Default("x")), Parameter("b", Nullable(Text())))
    assert checker.check(b'{"b":null}') is True
    assert len(refusal(checker, b'{"a":"x"}')) == 1


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (Parameter("x", Integer(), ge=0.5, le=2.5), b"[1,2]", b"[0,3]"),
        (Parameter("x", Integer(), ge=-(2**70), le=2**70), b"[0]", str([2**70 + 1, -(2**70) - 1]).encode()),
        (Parameter("x", Integer(), le=float("inf")), b"[5]", b'["a"]'),
        (Parameter("x", Number(), ge=-(2**60), le=1), b"[1,0.5]", b"[1.5]"),
        (Parameter("x", Number(), le=2**53 + 2), b"[9007199254740993]", b"[9007199254740996]"),
        (Parameter("x", Integer(), choices=(1, 2**70)), f"[1,{2**70}]".encode(), b"[2]"),
        (Parameter("x", Text(), choices=("aa", "b"), min_length=2), b'["aa"]', b'["b","cc"]'),
        (Parameter("x", Array(Integer()), choices=(1, 2)), b"[[],[1,2]]", b"[[3],5]"),
        (Parameter("x", Array(Nullable(Text())), regex="^a$"), b'[["a",null]]', b'[["b"],["a",5]]'),
        (Parameter("x", Choice(("a", 1))), b'["a",1]', b'[true,"1",null]'),
        (Parameter("x", Choice((True, "a"))), b'[true,"a"]', b"[1]"),
        (Parameter("x", Null()), b"[null]", b"[0]"),
        (Parameter("x", Mapping(Integer())), b'[{"a":1}]', b'[{"a":"b"}]'),
        (Parameter("x", Mapping(Array(Text()))), b'[{"a":["b"]}]', b'[{"a":[1]}]'),
        (Parameter("x", Text(), regex="b$"), b'["ab","b\\n"]', b'["ba"]'),
    ],
)
def test_rules_within_and_beyond_what_is_fast(parameter: Parameter, good: bytes, bad: bytes) -> None:
    checker = validator(parameter)
    for value in json.loads(good):
        assert checker.check(json.dumps({"x": value}).encode()) is True
    for value in json.loads(bad):
        assert len(refusal(checker, json.dumps({"x": value}).encode())) == 1


def test_local_files() -> None:
    checker = validator(Parameter("x", Array(File())), local_files=True)
    assert checker.check(b'{"x":["/etc/hostname",""]}') is True


def test_a_regex_that_this_python_cannot_compile() -> None:
    with pytest.raises(SignatureError, match='input "x"'):
        validator(Parameter("x", Text(), regex="("))


def test_a_secret_is_in_no_message() -> None:
    checker = validator(Parameter("key", Array(SecretText()), min_length=50))
    for value in ("hunter2", ["hunter2"], {"a": "hunter2"}, [["hunter2"]]):
        for raw in (json.dumps({"key": value}), json.dumps([value])):
            assert "hunter2" not in str(refusal(checker, raw.encode()))


# The property: what the fast check accepts, the complete one accepts.

SIMPLE: list[Kind] = [
    Text(), Integer(), Number(), Boolean(), Anything(), Null(), Mapping(), Choice(("a", 1)),
    Choice((True, 0)), File(), SecretText(), Choice((0.5, 1)), File("bytes"), Formatted("date"), Formatted("decimal"),
    Tuple(()), Tuple((Text(), Integer())), Coded("C"),
]  # fmt: skip
KINDS: st.SearchStrategy[Kind] = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.one_of(
        st.builds(Array, inner, st.sampled_from(["list", "set", "tuple"])),
        st.builds(
            lambda kinds, least: Tuple(tuple(kinds), least),
            st.lists(inner, max_size=2),
            st.none() | st.just(0),
        ),
        st.builds(Nullable, inner),
        st.builds(Mapping, inner),
        st.builds(Wrapped, inner, st.just("W")),
        st.builds(Union, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(lambda kind: Record("R", (Member("a", kind, required=True),)), inner),
    ),
    max_leaves=4,
)
BOUNDS = st.none() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from([2**53 + 1, 2**70, float("inf")])
PARAMETERS = st.builds(
    Parameter,
    st.sampled_from(["a", "b", "c"]),
    KINDS,
    st.none() | st.builds(Default, st.none()),
    ge=BOUNDS,
    le=BOUNDS,
    min_length=st.none() | st.integers(0, 3),
    max_length=st.none() | st.integers(0, 3),
    regex=st.none() | st.sampled_from(["", "a", "^a$", r"\d", "(?i)B", r"\Ab\Z", "é|😀"]),
    choices=st.none() | st.sampled_from([("a", "b"), (1, 2), ("1", 1), (2**70,), (0, "")]),
)
NUMBERS = st.integers(-4, 4) | st.integers() | st.sampled_from([2**53 + 1, 2**64, 10**400, -(2**63) - 1])
FLOATS = st.sampled_from([-0.0, 1.0, 1.5, 2.0, 1e300]) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = (
    st.sampled_from(
        ["", "a", "b", "2026-01-31", "1.5", "A\n", "é", "😀", "data:,x", "HTTP://h", "ftp://h", "\ud800"]
    )
    | st.text()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=6,
)
INPUTS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), VALUES, max_size=4) | VALUES


@settings(max_examples=200)
@given(st.lists(PARAMETERS, max_size=3, unique_by=lambda p: p.name), INPUTS, st.booleans(), st.booleans())
@example([Parameter("a", Number(), le=2**53)], {"a": 2**53 + 1}, False, True)
def test_the_two_checks_agree(
    parameters: list[Parameter], value: Any, local_files: bool, ascii_: bool
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "replace")
    model = signature(*parameters)
    problems = check_input(model, json.loads(raw), local_files=local_files)
    checker = Validator(model, local_files=local_files)
    if problems:
        with pytest.raises(InvalidRequest) as caught:
            checker.check(raw)
        assert list(caught.value.problems) == problems
    else:
        checker.check(raw)


RULES: list[dict[str, Any]] = [
    {}, {"ge": 0.5}, {"ge": -1.5, "le": 1.5}, {"le": 2**53}, {"ge": 2**53 + 1}, {"ge": 2**70},
    {"min_length": 1}, {"max_length": 1}, {"regex": "^a"},
    {"choices": ("a", "b")}, {"choices": (1, 2)}, {"choices": ("a", 1)},
    {"ge": 1, "choices": (0, 1)}, {"min_length": 1, "choices": ("", "a")}, {"ge": 1, "min_length": 2},
    {"le": 0, "regex": "b$", "max_length": 3},
]  # fmt: skip
SCALARS: list[Any] = [
    None, True, False, 0, 1, 2, -1, -2, 2**53, 2**53 + 1, 2**70 - 1, 2**70, 10**400, 0.0, 0.5, 1.0, 1.5, -1.5,
    1e300, "", "a", "b", "ab", "b\n", "é", "1", "ftp://h", "http://h", "DATA:,", "xhttp://h", {}, {"a": 1},
    {"a": "b"}, [],
]  # fmt: skip


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("wrap", [None, Nullable, Array, Mapping])
def test_the_two_checks_agree_on_every_combination(
    rules: dict[str, Any], wrap: Callable[[Kind], Kind] | None
) -> None:
    fast = 0
    for kind in SIMPLE:
        model = signature(Parameter("x", kind if wrap is None else wrap(kind), **rules))
        checker = Validator(model)
        for scalar in SCALARS:
            value = [scalar] if wrap is Array else {"k": scalar} if wrap is Mapping else scalar
            raw = json.dumps({"x": value}).encode()
            problems = check_input(model, json.loads(raw))
            try:
                fast += checker.check(raw)
                found: list[Problem] = []
            except InvalidRequest as error:
                found = list(error.problems)
            assert found == problems, (kind, value)
    assert fast > 0 or wrap is Mapping  # a whole object is never one of some choices


@settings(max_examples=200)
@given(st.binary() | st.text().map(str.encode) | st.text('[]{}:,"\\u01eE+-.nultrefasNI').map(str.encode))
def test_garbage_is_an_invalid_request(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        MODEL.check(raw)


# Large inputs are read in another way, with the same answers.

PAD = b" " * LARGE


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(PARAMETERS, max_size=3, unique_by=lambda p: p.name), INPUTS, st.booleans())
@example([Parameter("a", Nullable(Mapping()))], {"a": []}, True)
@example([Parameter("a", Mapping())], {"a": None}, True)
@example([Parameter("a", Array(Anything()))], {"a": [1, 1e300]}, True)
@pytest.mark.slow
def test_a_large_input_is_judged_as_a_small_one(
    parameters: list[Parameter], value: Any, strange: bool
) -> None:
    if isinstance(value, dict) and strange:
        value = {"stranger": [1], **value}
    raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    checker = Validator(signature(*parameters))
    assert judged(checker, PAD + raw) == judged(checker, raw)
    many = PAD + raw.replace(b"{", b'{"many":[%s],' % b",".join([b'{"a":1}'] * 10_001), 1)
    if isinstance(value, dict) and value and raw.startswith(b"{"):
        assert judged(checker, many) == judged(checker, raw)


def judged(checker: Validator, raw: bytes) -> list[Problem]:
    try:
        checker.check(raw)
    except InvalidRequest as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    "far", ["1e999", "-1E+400", "7" * 4301, "9" * 250 + "e99", "[1e0000400]", '{"b":1e999}']
)
@pytest.mark.parametrize("kind", [Anything(), Nullable(Anything()), Mapping(), Array(Anything())])
def test_a_number_out_of_range_is_found_in_a_large_input(far: str, kind: Kind) -> None:
    checker = validator(Parameter("x", kind))
    assert judged(checker, PAD + f'{{"x":{{"a":[{far}]}}}}'.encode())
    assert judged(checker, PAD + f'{{"x":[{far}]}}'.encode())
    assert judged(checker, PAD + f'{{"x":2.5,"x":[{far}]}}'.encode())


def test_texts_come_in_the_order_sent() -> None:
    checker = validator(Parameter("a", Anything()), Parameter("b", Anything()))
    assert checker.texts(b'{"b": [1, 2],"x":0,"a":1}') == ({"b": b"[1, 2]", "a": b"1"}, ["x"])
    assert list(checker.texts(b'{"b":1,"x":[%s],"a":2}' % b",".join([b'{"a":1}'] * 10_001))[0]) == ["a", "b"]
