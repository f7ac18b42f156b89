"""Every kind: its schema, what it refuses and in which words, and what the model gets."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.sdk.types import Path, Secret
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
    title,
)

POINT = Record(
    "Point", (Member("x_pos", Integer(), required=True), Member("tags", Array(Text()), required=False))
)
LOGIN = Record("Login", (Member("user", Text(), required=True), Member("key", SecretText(), required=True)))
EVERY: tuple[Kind, ...] = (
    Text(), Integer(), Number(), Boolean(), Anything(), Null(), Mapping(), Mapping(Integer()), Array(Text()),
    Union((Text(), Integer())), Nullable(Text()), Choice(("a", 1)), File(), File("file"), SecretText(), POINT,
    LOGIN, Array(Integer(), "set"), Array(Text(), "tuple"), Tuple((Integer(), Text())), Tuple((Integer(), Number()), 1),
    Choice((True, 0.5)), Formatted("date"), Formatted("duration"), Formatted("decimal"), Coded("Thing"), Wrapped(Text(), "W"),
)  # fmt: skip


def messages(kind: Kind, value: object, *, local_files: bool = False) -> list[str]:
    return [problem.msg for problem in kind.check(value, ("body",), local_files=local_files)]


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (Text(), {"type": "string"}),
        (Integer(), {"type": "integer"}),
        (Number(), {"type": "number"}),
        (Boolean(), {"type": "boolean"}),
        (Anything(), {}),
        (Null(), {"enum": [None], "nullable": True}),
        (Mapping(), {"type": "object"}),
        (Mapping(Number()), {"type": "object", "additionalProperties": {"type": "number"}}),
        (Array(Array(Text())), {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
        (Union((Text(), Integer())), {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        (Nullable(Integer()), {"type": "integer", "nullable": True}),
        (
            Nullable(Union((Text(), Integer()))),
            {
                "anyOf": [{"type": "string", "nullable": True}, {"type": "integer", "nullable": True}],
                "nullable": True,
            },
        ),
        (Choice(("a", "b")), {"enum": ["a", "b"], "type": "string"}),
        (Choice((1, 2)), {"enum": [1, 2], "type": "integer"}),
        (Choice(("a", 2)), {"enum": ["a", 2]}),
        (Nullable(Choice(("a",))), {"enum": ["a", None], "type": "string", "nullable": True}),
        (File(), {"type": "string", "format": "uri"}),
        (SecretText(), {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}),
        (
            POINT,
            {
                "title": "Point",
                "type": "object",
                "required": ["x_pos"],
                "properties": {
                    "x_pos": {"title": "X Pos", "type": "integer"},
                    "tags": {"title": "Tags", "type": "array", "items": {"type": "string"}},
                },
            },
        ),
        (Choice((True,)), {"enum": [True], "type": "boolean"}),
        (Choice((0.5, 1)), {"enum": [0.5, 1], "type": "number"}),
        (Choice((True, 1)), {"enum": [True, 1]}),
        (Formatted("date-time"), {"type": "string", "format": "date-time"}),
        (File("bytes"), {"type": "string", "format": "uri"}),
        (Array(Text(), "set"), {"type": "array", "items": {"type": "string"}}),
        (Tuple(()), {"type": "array", "items": {}, "minItems": 0, "maxItems": 0}),
        (
            Tuple((Integer(), Integer()), 1),
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        ),
        (
            Tuple((Integer(), Text(), Integer())),
            {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 3,
                "maxItems": 3,
                "x-cog-items": [{"type": "integer"}, {"type": "string"}, {"type": "integer"}],
            },
        ),
        (Coded("Thing"), {"title": "Thing", "type": "object"}),
        (Wrapped(Array(Text()), "W"), {"type": "array", "items": {"type": "string"}}),
        (Record("Empty", ()), {"title": "Empty", "type": "object", "properties": {}}),
    ],
)
def test_schema(kind: Kind, schema: dict[str, object]) -> None:
    assert kind.json_schema() == schema


def test_a_schema_is_a_new_one_with_each_call() -> None:
    kind = Nullable(Array(Choice(("a",))))
    kind.json_schema()["nullable"] = "spoilt"
    cast("dict[str, Any]", kind.json_schema()["items"])["enum"].append("spoilt")
    assert kind.json_schema() == {
        "type": "array",
        "items": {"enum": ["a"], "type": "string"},
        "nullable": True,
    }


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Text(), 5, '5 is not of type "string"'),
        (Text(), None, 'null is not of type "string"'),
        (Integer(), 1.5, '1.5 is not of type "integer"'),
        (Integer(), True, 'true is not of type "integer"'),
        (Integer(), "2", '"2" is not of type "integer"'),
        (Integer(), float("inf"), 'Infinity is not of type "integer"'),
        (Number(), True, 'true is not of type "number"'),
        (Number(), "1.5", '"1.5" is not of type "number"'),
        (Boolean(), 1, '1 is not of type "boolean"'),
        (Null(), 0, '0 is not of type "null"'),
        (Mapping(), [1, "é"], '[1,"é"] is not of type "object"'),
        (Array(Text()), "a", '"a" is not of type "array"'),
        (
            Union((Text(), Integer())),
            1.5,
            "1.5 is not valid under any of the schemas listed in the 'anyOf' keyword",
        ),
        (Choice(("x", "y")), "z", '"z" is not one of ["x","y"]'),
        (Choice((1, 2)), True, "true is not one of [1,2]"),
        (Nullable(Text()), 5, '5 is not of type "string"'),
        (File(), 5, '5 is not of type "string"'),
        (SecretText(), 5, '"**********" is not of type "string"'),
        (POINT, [], '[] is not of type "object"'),
        (POINT, {}, "Field required"),
        (Tuple((Integer(), Text())), [1], "[1] has 1 items, but 2 are wanted"),
        (Tuple((Integer(), Text()), 1), [], "[] has 0 items, but 1 to 2 are wanted"),
        (Tuple((Integer(),)), {}, '{} is not of type "array"'),
        (Tuple((SecretText(),)), [], '"**********" has 0 items, but 1 are wanted'),
        (Coded("Thing"), [], '[] is not of type "object"'),
    ],
)
def test_message(kind: Kind, value: object, message: str) -> None:
    assert messages(kind, value) == [message]


@pytest.mark.parametrize("value", ["/etc/hostname", "", "file:///x", "ftp://host/x", "http:/x", " data:,a"])
def test_a_file_is_a_url(value: str) -> None:
    (message,) = messages(File(), value)
    assert message.startswith(f'"{value}" is not an http://, https:// or data: URL')
    assert "send" in message
    assert messages(File(), value, local_files=True) == []


@pytest.mark.parametrize("value", ["http://a/b", "HTTPS://a/b", "Data:text/plain,a", "data:,"])
def test_the_scheme_of_a_file_is_in_any_case(value: str) -> None:
    assert messages(File(), value) == []


def test_an_integer_beyond_the_range_of_a_number_is_refused() -> None:
    (message,) = messages(Number(), 10**400)
    assert "out of range" in message
    assert messages(Number(), 10**300) == []


def test_every_problem_has_its_place() -> None:
    kind = Mapping(Array(Nullable(Integer())))
    value = {"a": [1, "x", None], "b": 3, "c": [], "d": [[], 2.5]}
    assert [problem.loc for problem in kind.check(value, ("body", "input"))] == [
        ("body", "input", "a", 1),
        ("body", "input", "b"),
        ("body", "input", "d", 0),
        ("body", "input", "d", 1),
    ]


def test_a_record_names_its_members() -> None:
    problems = list(POINT.check({"tags": ["a", 1]}, ("body",)))
    assert [(p.loc, p.type) for p in problems] == [
        (("body", "x_pos"), "value_error.missing"),
        (("body", "tags", 1), "value_error"),
    ]


def test_a_long_value_is_cut() -> None:
    (message,) = messages(Integer(), "data:image/png;base64," + "A" * 5_000_000)
    assert len(message) < 300
    assert "AAAA... is not of type" in message


def test_a_deep_value_is_shown_without_descending() -> None:
    value: object = []
    for _ in range(100_000):
        value = [value]
    (message,) = messages(Text(), value)
    assert message.startswith("[[[[")
    while (
        isinstance(value, list) and value
    ):  # taken apart level by level: letting go of it all at once is slow
        value = value[0]


def test_lone_surrogates_are_shown_as_escapes() -> None:
    assert messages(Integer(), "\ud800") == ['"\\ud800" is not of type "integer"']
    (problem,) = Mapping(Integer()).check({"\udfff": ""}, ())
    assert problem.loc == ("\\udfff",)


@pytest.mark.parametrize(
    "kind",
    [
        SecretText(),
        Nullable(SecretText()),
        Array(SecretText()),
        Mapping(SecretText()),
        LOGIN,
        Array(LOGIN),
        Union((Array(SecretText()), Integer())),
    ],
)
@pytest.mark.parametrize(
    "value", ["hunter2", ["hunter2"], {"a": ["hunter2"]}, [["hunter2"]], [[["hunter2"]]]]
)
def test_a_secret_is_never_shown(kind: Kind, value: object) -> None:
    assert all("hunter2" not in message for message in messages(kind, value))


@pytest.mark.parametrize(
    ("kind", "value", "decoded"),
    [
        (Text(), "a", "a"),
        (Integer(), 2.0, 2),
        (Integer(), 10**30, 10**30),
        (Integer(), 2**53 + 1, 2**53 + 1),
        (Number(), 2, 2.0),
        (Boolean(), False, False),
        (Anything(), {"a": [None]}, {"a": [None]}),
        (Null(), None, None),
        (Mapping(), {"a": 2.0}, {"a": 2.0}),
        (Mapping(Integer()), {"a": 2.0}, {"a": 2}),
        (Array(Number()), [1, 2], [1.0, 2.0]),
        (Union((Text(), Integer())), 2.0, 2),
        (Union((Integer(), Number())), 1.5, 1.5),
        (Nullable(Integer()), None, None),
        (Nullable(Integer()), 2.0, 2),
        (Choice((1, "a")), 1.0, 1),
        (Choice((0, "a")), 0, 0),
        (SecretText(), "s", Secret("s")),
        (Array(SecretText()), ["s"], [Secret("s")]),
        (POINT, {"x_pos": 1.0, "more": 2}, {"x_pos": 1}),
    ],
)
def test_decode(kind: Kind, value: object, decoded: object) -> None:
    result = kind.decode(value)
    assert result == decoded
    assert type(result) is type(decoded)
    assert repr(result) == repr(decoded)  # also within lists: 2 is no 2.0


def test_a_path_is_decoded_to_a_path(tmp_path: pathlib.Path) -> None:
    result = Nullable(Array(File())).decode([str(tmp_path / "a.txt")])
    assert isinstance(result, list)
    assert isinstance(result[0], Path)
    assert isinstance(result[0], pathlib.Path)
    assert str(result[0]) == str(tmp_path / "a.txt")


def test_a_file_is_decoded_to_an_open_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00\xff")
    with cast("Any", File("file").decode(str(tmp_path / "a.bin"))) as file:
        assert file.read() == b"\x00\xff"


def test_a_record_is_decoded_to_its_class() -> None:
    @dataclass
    class Point:
        x_pos: int
        tags: tuple[str, ...] = ()

    kind = Record(POINT.name, POINT.members, python=Point)
    assert kind == POINT
    assert kind.decode({"x_pos": 3.0}) == Point(3)


def test_map_changes_files_and_secrets_only() -> None:
    seen: list[Kind] = []

    def change(kind: Kind, leaf: object) -> object:
        seen.append(kind)
        return f"<{leaf}>"

    kind = Record(
        "R",
        (
            Member("files", Array(Nullable(File())), required=True),
            Member("keys", Mapping(SecretText()), required=True),
            Member("either", Union((Integer(), Array(File("file")))), required=True),
            Member("text", Text(), required=True),
        ),
    )
    value = {"files": ["a", None], "keys": {"k": "s"}, "either": ["b"], "text": "t", "more": 1}
    assert kind.map(value, change) == {
        "files": ["<a>", None],
        "keys": {"k": "<s>"},
        "either": ["<b>"],
        "text": "t",
        "more": 1,
    }
    assert seen == [File(), SecretText(), File("file")]
    assert value["files"] == ["a", None]
    assert kind.map({**value, "either": 5}, change) is not None


def test_map_gives_back_what_holds_no_leaves() -> None:
    value: dict[str, object] = {"a": [1]}
    for kind in EVERY:
        if not kind.has_leaves:
            assert kind.map(value, lambda kind, leaf: "changed") is value


def test_leaves() -> None:
    assert [kind for kind in EVERY if kind.has_leaves] == [File(), File("file"), SecretText(), LOGIN]
    assert [kind for kind in EVERY if kind.secret] == [SecretText(), LOGIN]
    assert Array(Mapping(Nullable(Union((Text(), File()))))).has_leaves


def test_title() -> None:
    assert [title(name) for name in ("top_k", "prompt", "_a__b")] == ["Top K", "Prompt", "A B"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(EVERY), JSON_VALUES)
def test_what_is_accepted_can_be_decoded(kind: Kind, value: object) -> None:
    problems = list(kind.check(value, ("body", "input")))
    assert all(problem.msg and problem.loc[:2] == ("body", "input") for problem in problems)
    if not problems and "file" not in kind.leaves:
        kind.decode(value)
