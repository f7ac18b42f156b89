"""What a kind of values is, and the simplest ones: those of JSON itself.

A kind holds every rule for its type in one place: how it is written down (`facts.py`), its JSON Schema, how a JSON value
is checked, how it becomes a Python value and how a Python value becomes JSON. `kinds.py` has all of them.
"""

# ruff: noqa: D102  (the methods are described in `Kind`, once for all kinds)
from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias, cast

from cog.errors import Problem
from cog.signature.problems import Place, wrong, wrong_type

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None
Schema: TypeAlias = dict[str, JSON]
Leaves: TypeAlias = frozenset[Literal["file", "secret"]]
Change: TypeAlias = Callable[["Kind", object], object]

NO_LEAVES: Final[Leaves] = frozenset()


class Kind(ABC):
    """One kind of values. What it may hold that is not just JSON, a file or a secret, are its leaves.

    A kind that may hold a secret never shows a value that it refuses: it could be the secret in a wrong place.
    """

    __slots__ = ()

    @abstractmethod
    def json_schema(self) -> Schema:
        """The kind as a schema of OpenAPI 3.0.2, a new one with each call."""

    @abstractmethod
    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        """What is wrong with a JSON value, problem by problem; `at` is the path to the value. With `local_files` a file may
        be any path instead of a URL."""

    def decode(self, value: object) -> object:
        """A checked JSON value, in the form that `map(..., marked=True)` gives it, as what the model gets. A file is a path on
        this machine by then.

        Raises:
            InputRefused: a class of the model's own does not take it.
        """
        return value

    def encode(self, value: object) -> JSON:
        """What the model's code has, its default or an example, as the JSON value that `decode` makes it from.

        Raises:
            TypeError, ValueError: it has no JSON form.
        """
        return plain(value)

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        """A checked JSON value with `change(kind, leaf)` in the place of every leaf. With `marked` a union that a file
        belongs to tells which of its members the value is: a path and a text look the same."""
        return value

    @property
    def leaves(self) -> Leaves:
        """Which leaves it can hold."""
        return NO_LEAVES

    @property
    def has_leaves(self) -> bool:
        """True when it can hold any."""
        return bool(self.leaves)

    @property
    def secret(self) -> bool:
        """True when it can hold a secret."""
        return "secret" in self.leaves


def plain(value: object) -> JSON:
    """A value that is JSON but for its container, copied.

    Raises:
        TypeError, ValueError: it is not.
    """
    if isinstance(value, (tuple, set, frozenset)):
        value = ordered(value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise TypeError("its keys would become text")
    made: JSON = json.loads(json.dumps(value, allow_nan=False))
    return made


def ordered(value: tuple[object, ...] | set[object] | frozenset[object]) -> list[object]:
    """The items; those of a set in an order that is the same in every process."""
    if isinstance(value, tuple):
        return list(value)
    try:
        return sorted(value)  # type: ignore[type-var]  # whether they can be compared is the question
    except TypeError:
        return sorted(value, key=repr)


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """`str`."""

    def json_schema(self) -> Schema:
        return {"type": "string"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string")


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """`int`; 2.0 is accepted as 2, true is not."""

    def json_schema(self) -> Schema:
        return {"type": "integer"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            yield wrong_type(value, at, "integer")

    def decode(self, value: object) -> int:
        return int(cast("int | float", value))


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """`float`."""

    def json_schema(self) -> Schema:
        return {"type": "number"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield wrong_type(value, at, "number")
            return
        try:
            float(value)
        except OverflowError:
            yield wrong(value, at, "is out of range: a number is a 64-bit float here, up to about 1.8e308")

    def decode(self, value: object) -> float:
        return float(cast("int | float", value))


@dataclass(frozen=True, slots=True)
class Boolean(Kind):
    """`bool`."""

    def json_schema(self) -> Schema:
        return {"type": "boolean"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield wrong_type(value, at, "boolean")


@dataclass(frozen=True, slots=True)
class Anything(Kind):
    """`Any`: every JSON value."""

    def json_schema(self) -> Schema:
        return {}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Null(Kind):
    """`None` as a type of its own; beside other types it becomes `Nullable`."""

    def json_schema(self) -> Schema:
        return {"enum": [None], "nullable": True}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if value is not None:
            yield wrong_type(value, at, "null")
