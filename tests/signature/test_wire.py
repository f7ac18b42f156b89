"""A signature goes from the worker to the server as JSON, and nothing of it is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import ProtocolError
from cog.signature.facts import Default, Parameter, Result, Signature
from cog.signature.formats import RULES
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
from cog.signature.scalars import JSON
from cog.signature.wire import dump, load

NAMES = st.text(min_size=1, max_size=8)
CHOICES = st.lists(
    st.text() | st.integers() | st.booleans() | st.sampled_from([0.5, -1e300]), min_size=1, max_size=3
).map(tuple)
LEAVES: st.SearchStrategy[Kind] = st.one_of(
    st.sampled_from([Text(), Integer(), Number(), Boolean(), Anything(), Null(), Mapping(), File("file")]),
    st.builds(File),
    st.builds(SecretText),
    st.builds(Choice, CHOICES),
    st.builds(Formatted, st.sampled_from([*RULES])),
    st.builds(Coded, NAMES),
)


def composite(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    members = st.builds(Member, NAMES, inner, st.booleans(), st.just("") | NAMES, st.booleans())
    return st.one_of(
        st.builds(Array, inner, st.sampled_from(["list", "tuple", "set", "frozenset"])),
        st.builds(Tuple, st.lists(inner, max_size=3).map(tuple), st.none() | st.integers(0, 3)),
        st.builds(Wrapped, inner, NAMES),
        st.builds(Nullable, inner),
        st.builds(Mapping, inner),
        st.builds(Union, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Record, NAMES, st.lists(members, max_size=3).map(tuple), st.booleans()),
    )


KINDS = st.recursive(LEAVES, composite, max_leaves=5)
JSON_VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text() | st.just("is"), inner, max_size=2),
    max_leaves=4,
)
PARAMETERS = st.builds(
    Parameter,
    NAMES,
    KINDS,
    st.none() | st.builds(Default, JSON_VALUES),
    opaque_default=st.booleans(),
    description=st.none() | st.text(),
    ge=st.none() | st.integers() | st.floats(allow_nan=False),
    min_length=st.none() | st.integers(0, 9),
    choices=st.none() | CHOICES,
    deprecated=st.booleans(),
)
SIGNATURES = st.builds(
    Signature,
    st.lists(PARAMETERS, max_size=3).map(tuple),
    st.builds(Result, KINDS, st.booleans(), st.booleans()),
    st.sampled_from(["function", "async generator"]),
    st.booleans(),
    st.none() | st.integers(1, 99),
    st.booleans(),
)


@given(SIGNATURES)
def test_round_trip_through_json(signature: Signature) -> None:
    again = load(json.loads(json.dumps(dump(signature))))
    assert again == signature
    assert repr(again) == repr(signature)  # 1 and 1.0 are equal, but not the same


def test_the_class_of_a_record_stays_in_the_worker() -> None:
    @dataclass
    class Point:
        x: int

    record = Record("Point", (Member("x", Integer(), required=True),), python=Point)
    again = load(dump(Signature((), Result(record))))
    assert again.result.kind == record
    assert isinstance(again.result.kind, Record)
    assert again.result.kind.python is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"is": "Unheard"},
        {"is": "Text"},
        {"is": ["Text"]},
        {"is": "Default"},
        {"is": "Signature", "parameters": []},
        {"is": "Signature", "parameters": [], "result": {"is": "Result"}},
        {"is": "Signature", "parameters": [], "result": None, "unheard": 1},
    ],
)
def test_what_was_not_written_by_us_is_a_protocol_error(data: dict[str, JSON]) -> None:
    with pytest.raises(ProtocolError):
        load(data)
