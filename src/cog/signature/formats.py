"""Values that JSON writes as text of a fixed form: dates, times, durations, exact numbers, UUIDs.

The texts are read by rules of our own and not by `fromisoformat`, which takes more with each version of Python: the server,
which checks them, and the model may run on different ones.
"""

# ruff: noqa: D102  (the methods are described in `Kind`, once for all kinds)
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

from cog.errors import Problem
from cog.signature.problems import Place, wrong, wrong_type
from cog.signature.scalars import JSON, Kind, Schema, plain

_TIME: Final = r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
_ZONE: Final = r"(?:([Zz])|([+-])(\d\d):?(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?"
_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_MOMENT: Final = re.compile(rf"({_DATE.pattern})(?:[Tt ]({_TIME}{_ZONE}))?", re.ASCII)
_TIME_OF_DAY: Final = re.compile(_TIME + _ZONE, re.ASCII)
_DURATION: Final = re.compile(
    r"([+-]?)P(?=[\dT])(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d{1,9}))?S)?)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_UUID: Final = re.compile(
    r"(?:urn:uuid:)?([\da-f]{8}(-?)(?:[\da-f]{4}\2){3}[\da-f]{12})", re.ASCII | re.IGNORECASE
)

_STANDARD: Final = {
    "date-time": re.compile(r".*(?:[Zz]|[+-]\d\d:\d\d)"),
    "time": re.compile(r"\d\d:\d\d:\d\d"),
}


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError
    return found


def _date(text: str) -> date:
    year, month, day = _matched(_DATE, text).groups()
    return date(int(year), int(month), int(day))


def _time(text: str) -> time:
    hour, minute, second, fraction, *zone = _matched(_TIME_OF_DAY, text).groups()
    return time(int(hour), int(minute), int(second or 0), _micro(fraction), tzinfo=_zone(*zone))


def _moment(text: str) -> datetime:
    found = _matched(_MOMENT, text)
    day = _date(found[1])
    return datetime.combine(day, time() if found[5] is None else _time(found[5]))


def _micro(digits: str | None) -> int:
    """The microseconds in the digits behind a point; finer ones are cut off."""
    return int((digits or "")[:6].ljust(6, "0"))


def _zone(
    zulu: str | None, sign: str | None, hours: str | None, minutes: str | None, seconds: str | None, fraction: str | None
) -> timezone | None:  # fmt: skip
    if zulu is not None:
        return timezone.utc
    if sign is None:
        return None
    if int(minutes or 0) > 59 or int(seconds or 0) > 59:
        raise ValueError
    offset = timedelta(
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=_micro(fraction),
    )
    return timezone(-offset if sign == "-" else offset)


def _duration(text: str) -> timedelta:
    sign, weeks, days, hours, minutes, seconds, fraction = _matched(_DURATION, text).groups()
    span = timedelta(
        weeks=int(weeks or 0), days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0),
        seconds=int(seconds or 0), microseconds=_micro(fraction),
    )  # fmt: skip
    return -span if sign == "-" else span


def _duration_text(span: timedelta) -> str:
    sign, span = ("-", -span) if span < timedelta(0) else ("", span)
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{span.microseconds:06}".rstrip("0") if span.microseconds else ""
    days = f"{span.days}D" if span.days else ""
    clock = "".join((
        f"{hours}H" if hours else "",
        f"{minutes}M" if minutes else "",
        f"{seconds}{fraction}S" if seconds or fraction else "",
    ))  # fmt: skip
    if not days and not clock:
        return "PT0S"
    return f"{sign}P{days}{'T' if clock else ''}{clock}"


def _decimal(text: str) -> Decimal:
    _matched(_NUMBER, text)
    return Decimal(text)


def _uuid(text: str) -> UUID:
    return UUID(_matched(_UUID, text)[1])


@dataclass(frozen=True, slots=True)
class _Rule:
    """One form: the type, what makes it of a text and back, and how it is told to a person."""

    python: type
    read: Callable[[str], object]
    write: Callable[[Any], str]
    told: str


# By the name that JSON Schema has for it; "decimal" is the registry's of OpenAPI.
RULES: Final[dict[str, _Rule]] = {
    "date-time": _Rule(datetime, _moment, datetime.isoformat, "date and time such as 2026-01-31T12:30:00Z"),
    "date": _Rule(date, _date, date.isoformat, "date such as 2026-01-31"),
    "time": _Rule(time, _time, time.isoformat, "time such as 12:30:00"),
    "duration": _Rule(timedelta, _duration, _duration_text, "duration such as PT1H30M or P2D"),
    "decimal": _Rule(Decimal, _decimal, str, 'number in a text such as "9.95"'),
    "uuid": _Rule(UUID, _uuid, str, "UUID such as 12345678-1234-5678-1234-567812345678"),
}


def fault(format: str, text: str) -> str | None:
    """What is wrong with `text` as one of `format`; None for nothing, and for a format that is not known here."""
    rule = RULES.get(format)
    if rule is None:
        return None
    try:
        rule.read(text)
    except (ValueError, ArithmeticError):
        return f"is no {rule.told}"
    return None


def is_standard(format: str, text: str) -> bool:
    """Whether `text` is a `format` to everybody: RFC 3339 wants an offset in a date and time, which Python's may lack, and
    checkers of documents know a time without one only."""
    pattern = _STANDARD.get(format)
    return pattern is None or pattern.fullmatch(text) is not None


def written(value: object) -> str | None:
    """A value of one of these types as text; None for every other."""
    for rule in RULES.values():  # a datetime is a date too, and comes first
        if isinstance(value, rule.python):
            return rule.write(value)
    return None


@dataclass(frozen=True, slots=True)
class Formatted(Kind):
    """`date`, `datetime`, `time`, `timedelta`, `Decimal`, `UUID`: one of `RULES`."""

    format: str

    def json_schema(self) -> Schema:
        return {"type": "string", "format": self.format}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string")
        elif (complaint := fault(self.format, value)) is not None:
            yield wrong(value, at, complaint)

    def decode(self, value: object) -> object:
        return RULES[self.format].read(cast("str", value))

    def encode(self, value: object) -> JSON:
        rule = RULES[self.format]
        if isinstance(value, str) and fault(self.format, value) is None:
            value = rule.read(value)  # a default may be written in any way that is read
        return rule.write(value) if isinstance(value, rule.python) else plain(value)


# What each type is read as.
FORMATTED: Final[dict[object, Kind]] = {rule.python: Formatted(name) for name, rule in RULES.items()}
