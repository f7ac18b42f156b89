"""How a value that does not fit is told to the person who sent it."""

from __future__ import annotations

import json
from typing import Final, TypeAlias

from cog.errors import Problem

Place: TypeAlias = tuple[str | int, ...]

# What is shown where a secret stands, as the JSON text of it.
MASK: Final = "**********"

# A value may be a photograph as a data URL: of what is wrong only this many characters are repeated.
SHOWN: Final = 200

_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, skipkeys=True, separators=(",", ":"), default=repr
)


def shown(value: object, *, limit: int = SHOWN) -> str:
    """`value` as JSON, cut at `limit` characters; what has no JSON form is shown as Python shows it."""
    if isinstance(value, str):
        value = value[: limit + 1]
    text = ""
    for chunk in _ENCODER.iterencode(value):  # not encode(): it would write all of a long or deep value
        text += chunk
        if len(text) > limit:
            text = text[:limit] + "..."
            break
    return printable(text)


def printable(text: str) -> str:
    """`text` with lone surrogates, which JSON can spell but UTF-8 cannot carry, as their JSON escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def key_shown(key: str) -> str:
    """`key` as it stands in a place; a very long one is cut."""
    return printable(key if len(key) <= SHOWN else f"{key[:SHOWN]}...")


def wrong(value: object, at: Place, complaint: str, *, hidden: bool = False) -> Problem:
    """The problem that `value` at `at` `complaint`; with `hidden` the value itself is not shown."""
    return Problem(at, f"{shown(MASK if hidden else value)} {complaint}")


def wrong_type(value: object, at: Place, name: str, *, hidden: bool = False) -> Problem:
    """The problem that `value` is not of the JSON type `name`."""
    return wrong(value, at, f'is not of type "{name}"', hidden=hidden)


def missing(at: Place) -> Problem:
    """The problem that a required value was not sent."""
    return Problem(at, "Field required", "value_error.missing")
