"""Dates, times, durations, exact numbers and UUIDs as texts: every value comes back, and what is no such text is refused."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cog.signature.encode import encode
from cog.signature.formats import FORMATTED, RULES, Formatted, fault
from cog.signature.kinds import Kind

ZONES = st.none() | st.timedeltas(
    datetime.timedelta(hours=-23, minutes=-59), datetime.timedelta(hours=23, minutes=59)
).map(datetime.timezone)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "date": st.dates(),
    "date-time": st.datetimes(timezones=ZONES),
    "time": st.times(timezones=ZONES),
    "duration": st.timedeltas(),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False),
    "uuid": st.uuids(),
}


def refuse(value: object) -> str:
    raise AssertionError(value)


def test_every_rule_is_tried() -> None:
    assert set(VALUES) == set(RULES)
    assert set(FORMATTED.values()) == {Formatted(name) for name in RULES}


@pytest.mark.parametrize("name", VALUES)
@given(data=st.data())
def test_what_is_written_is_read_as_the_same(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    kind: Kind = Formatted(name)
    text = kind.encode(value)
    assert list(kind.check(text, ())) == []
    again = kind.decode(text)
    assert again == value
    assert type(again) is type(value)
    assert str(again) == str(value)
    assert json.loads(encode(value, refuse)) == text  # an output is written as it is read


@pytest.mark.parametrize("name", VALUES)
@given(
    text=st.text()
    | st.text("0123456789-:TZPDHMSW.,+e ")
    | st.from_regex(r"\A[+-]?P?T?(\d{1,4}[-:DHMS.]){0,6}\d*Z?\Z")
)
@example("")
@example("2026-02-29")
@example("24:00")
@example("\u0662\u0660\u0662\u0666-01-01")
@example("1" * 5000)
@example("P" + "9" * 30 + "D")
@example("1e" + "9" * 30)
def test_a_text_is_refused_or_can_be_read(name: str, text: str) -> None:
    kind: Kind = Formatted(name)
    problems = list(kind.check(text, ()))
    assert bool(problems) == (fault(name, text) is not None)
    if not problems:
        kind.decode(text)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("date", "2024-02-29", datetime.date(2024, 2, 29)),
        ("date-time", "2026-01-31T12:30:00Z", datetime.datetime(2026, 1, 31, 12, 30, tzinfo=datetime.timezone.utc)),
        ("date-time", "2026-01-31 12:30", datetime.datetime(2026, 1, 31, 12, 30)),
        ("date-time", "2026-01-31t12:30:01,5", datetime.datetime(2026, 1, 31, 12, 30, 1, 500_000)),
        ("date-time", "2026-01-31", datetime.datetime(2026, 1, 31)),
        ("date-time", "2026-01-31T00:00:00.123456789+0130",
         datetime.datetime(2026, 1, 31, 0, 0, 0, 123_456, datetime.timezone(datetime.timedelta(minutes=90)))),
        ("time", "23:59:59z", datetime.time(23, 59, 59, tzinfo=datetime.timezone.utc)),
        ("duration", "P1W2DT3H4M5.25S", datetime.timedelta(9, 5, 250_000, 0, 4, 3)),
        ("duration", "-PT90M", datetime.timedelta(minutes=-90)),
        ("duration", "PT0S", datetime.timedelta(0)),
        ("decimal", "1.10", decimal.Decimal("1.10")),
        ("decimal", "-.5e-3", decimal.Decimal("-0.0005")),
        ("uuid", "URN:UUID:12345678-1234-5678-1234-567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
        ("uuid", "12345678123456781234567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
    ],
)  # fmt: skip
def test_other_ways_to_write_it(name: str, text: str, value: object) -> None:
    kind: Kind = Formatted(name)
    assert list(kind.check(text, ())) == []
    assert repr(kind.decode(text)) == repr(value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("date", "tomorrow", '"tomorrow" is no date such as 2026-01-31'),
        ("date", "2026-1-1", "is no date"),
        ("date", "20260101", "is no date"),  # Python 3.11 would read it, 3.10 would not
        ("date", "2026-W01-1", "is no date"),
        ("date", "2026-01-01\n", "is no date"),
        ("date", "2026-01-01T00:00", "is no date"),
        ("date-time", "2026-13-01T00:00:00Z", "date and time"),
        ("date-time", "2026-01-01T25:00:00Z", "date and time"),
        ("date-time", "2026-01-01T00:00:00+24:00", "date and time"),
        ("date-time", "2026-01-01T00:00:00+01:60", "date and time"),
        ("time", "12", "is no time"),
        ("duration", "P", "is no duration"),
        ("duration", "P1DT", "is no duration"),
        ("duration", "1h", "is no duration"),
        ("duration", "P1Y", "is no duration"),
        ("duration", "P9999999999D", "is no duration"),
        ("decimal", "1,5", "number in a text"),
        ("decimal", "NaN", "number in a text"),
        ("decimal", "1_000", "number in a text"),
        ("uuid", "12345678-12345678-1234-567812345678", "UUID"),
        ("uuid", "{12345678-1234-5678-1234-567812345678}", "UUID"),
        ("date", 5, '5 is not of type "string"'),
        ("decimal", 9.95, '9.95 is not of type "string"'),
    ],
)
def test_what_is_refused(name: str, value: object, words: str) -> None:
    (problem,) = Formatted(name).check(value, ())
    assert words in problem.msg
