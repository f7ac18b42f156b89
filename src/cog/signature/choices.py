"""One of some values: `Literal`, and the members of an `Enum`."""

# ruff: noqa: D102  (the methods are described in `Kind`, once for all kinds)
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from cog.errors import Problem
from cog.signature.problems import Place, shown, wrong
from cog.signature.scalars import JSON, Kind, Schema, plain

Scalar: TypeAlias = str | int | float  # a bool is an int

# A model may offer thousands of choices; enough of them are shown to see what was meant.
_SHOWN_CHOICES: Final = 1000


def enumeration(values: Sequence[Scalar]) -> Schema:
    """The schema of one of `values`."""
    schema: Schema = {"enum": list(values)}
    types = {type(value) for value in values}
    for cls, name in ((str, "string"), (int, "integer"), (bool, "boolean")):
        if types == {cls}:
            schema["type"] = name
    if float in types and types <= {int, float}:
        schema["type"] = "number"
    return schema


def chosen(values: Sequence[Scalar], value: object) -> Scalar | None:
    """The one of `values` that the JSON value `value` means: 2.0 is 2, but true is not 1."""
    for candidate in values:
        if candidate == value and isinstance(candidate, bool) == isinstance(value, bool):
            return candidate
    return None


def not_chosen(values: Sequence[Scalar], value: object, at: Place, *, hidden: bool = False) -> Problem:
    """The problem that `value` is none of `values`."""
    return wrong(value, at, f"is not one of {shown(list(values), limit=_SHOWN_CHOICES)}", hidden=hidden)


def is_scalar(value: object) -> bool:
    """Whether `value` can be chosen: a text, a number or a boolean."""
    return isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """`Literal[...]`, an `Enum`: one of some texts, numbers and booleans.

    `python` are the members of the enumeration that the model gets in their place, in the same order; they are known in
    the worker only and are not part of what is written down.
    """

    values: tuple[Scalar, ...]
    python: tuple[object, ...] | None = field(default=None, compare=False, repr=False)

    def json_schema(self) -> Schema:
        return enumeration(self.values)

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if chosen(self.values, value) is None:
            yield not_chosen(self.values, value, at)

    def decode(self, value: object) -> object:
        found = chosen(self.values, value)
        if self.python is None or found is None:
            return found
        return next(member for member, each in zip(self.python, self.values, strict=True) if each is found)

    def encode(self, value: object) -> JSON:
        return plain(value.value if isinstance(value, Enum) else value)
