"""The kinds of values that a model can accept and return. Each kind holds every rule for its type in one
place: how it is written down (`facts.py`), its JSON Schema, how a JSON value is checked, and how it becomes a
Python value.

Every kind answers to the same names:

- `json_schema()`: the kind as a schema of OpenAPI 3.0.2, a new one with each call;
- `check(value, at)`: what is wrong with a JSON value, problem by problem; `at` is the path to the value, and
  with `local_files` a file may be any path instead of a URL;
- `decode(value)`: a checked JSON value as what the model gets; a file is a path on this machine by then;
- `map(value, change)`: a checked JSON value with `change(kind, leaf)` in the place of every file and secret;
- `leaves`, `has_leaves`, `secret`: which of these two it can hold.

A kind that may hold a secret never shows a value that it refuses: it could be the secret in a wrong place.
"""

# ruff: noqa: D102  (the methods are described above, once for all kinds)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from cog.errors import Problem
from cog.signature.problems import Place, key_shown, missing, wrong, wrong_type
from cog.signature.scalars import (
    NO_LEAVES,
    Anything,
    Boolean,
    Change,
    Choice,
    File,
    Integer,
    Leaves,
    Null,
    Number,
    Plain,
    Schema,
    SecretText,
    Text,
)  # fmt: skip

__all__ = [
    "Anything", "Array", "Boolean", "Choice", "File", "Integer", "Kind", "Mapping", "Member", "Null",
    "Nullable", "Number", "Record", "SecretText", "Text", "Union", "title",
]  # fmt: skip


def title(name: str) -> str:
    """The title of a field: `top_k` is `Top K`."""
    return " ".join(part.capitalize() for part in name.split("_") if part)


@dataclass(frozen=True, slots=True)
class Mapping(Plain):
    """`dict`, `dict[str, V]`; `values` is None when nothing is said of the values."""

    values: Kind | None = None

    @property
    def leaves(self) -> Leaves:
        return NO_LEAVES if self.values is None else self.values.leaves

    def json_schema(self) -> Schema:
        if self.values is None:
            return {"type": "object"}
        return {"type": "object", "additionalProperties": self.values.json_schema()}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(value, at, "object", hidden=self.secret)
        elif self.values is not None:
            for key, item in value.items():
                yield from self.values.check(item, (*at, key_shown(str(key))), local_files=local_files)

    def decode(self, value: object) -> object:
        if self.values is None:
            return value
        return {key: self.values.decode(item) for key, item in cast("dict[str, object]", value).items()}

    def map(self, value: object, change: Change) -> object:
        if self.values is None or not self.has_leaves:
            return value
        return {key: self.values.map(item, change) for key, item in cast("dict[str, object]", value).items()}


@dataclass(frozen=True, slots=True)
class Array(Plain):
    """`list[T]`."""

    items: Kind

    @property
    def leaves(self) -> Leaves:
        return self.items.leaves

    def json_schema(self) -> Schema:
        return {"type": "array", "items": self.items.json_schema()}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield wrong_type(value, at, "array", hidden=self.secret)
            return
        for index, item in enumerate(value):
            yield from self.items.check(item, (*at, index), local_files=local_files)

    def decode(self, value: object) -> list[object]:
        return [self.items.decode(item) for item in cast("list[object]", value)]

    def map(self, value: object, change: Change) -> object:
        if not self.has_leaves:
            return value
        return [self.items.map(item, change) for item in cast("list[object]", value)]


@dataclass(frozen=True, slots=True)
class Union(Plain):
    """`A | B`: the first member that fits wins. None among the members is a `Nullable` around it."""

    members: tuple[Kind, ...]

    @property
    def leaves(self) -> Leaves:
        return NO_LEAVES.union(*(member.leaves for member in self.members))

    def json_schema(self) -> Schema:
        return {"anyOf": [member.json_schema() for member in self.members]}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if self._fitting(value, local_files=local_files) is None:
            complaint = "is not valid under any of the schemas listed in the 'anyOf' keyword"
            yield wrong(value, at, complaint, hidden=self.secret)

    def decode(self, value: object) -> object:
        member = self._fitting(value, local_files=True)
        return value if member is None else member.decode(value)

    def map(self, value: object, change: Change) -> object:
        member = self._fitting(value, local_files=True) if self.has_leaves else None
        return value if member is None else member.map(value, change)

    def _fitting(self, value: object, *, local_files: bool) -> Kind | None:
        for member in self.members:
            if next(member.check(value, (), local_files=local_files), None) is None:
                return member
        return None


@dataclass(frozen=True, slots=True)
class Nullable(Plain):
    """`Optional[T]`, `T | None`."""

    inner: Kind

    @property
    def leaves(self) -> Leaves:
        return self.inner.leaves

    def json_schema(self) -> Schema:
        schema = self.inner.json_schema() | {"nullable": True}
        match schema:
            case {"anyOf": list(variants)}:
                schema["anyOf"] = [cast("Schema", variant) | {"nullable": True} for variant in variants]
            case {"enum": list(values)} if None not in values:
                schema["enum"] = [*values, None]  # OpenAPI 3.0.3: an enumeration must list null too
        return schema

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        return iter(()) if value is None else self.inner.check(value, at, local_files=local_files)

    def decode(self, value: object) -> object:
        return None if value is None else self.inner.decode(value)

    def map(self, value: object, change: Change) -> object:
        return None if value is None else self.inner.map(value, change)


@dataclass(frozen=True, slots=True)
class Record(Plain):
    """A class with named and typed members: BaseModel, a dataclass, a pydantic model.

    `python` is the class itself; it is known in the worker only and is not part of what is written down.
    """

    name: str
    members: tuple[Member, ...]
    python: type | None = field(default=None, compare=False, repr=False)

    @property
    def leaves(self) -> Leaves:
        return NO_LEAVES.union(*(member.kind.leaves for member in self.members))

    def json_schema(self) -> Schema:
        schema: Schema = {"title": self.name, "type": "object"}
        schema["properties"] = {
            member.name: member.kind.json_schema() | {"title": title(member.name)} for member in self.members
        }
        if required := [member.name for member in self.members if member.required]:
            schema["required"] = list(required)
        return schema

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(value, at, "object", hidden=self.secret)
            return
        for member in self.members:
            if member.name in value:
                yield from member.kind.check(value[member.name], (*at, member.name), local_files=local_files)
            elif member.required:
                yield missing((*at, member.name))

    def decode(self, value: object) -> object:
        sent = cast("dict[str, object]", value)
        values = {m.name: m.kind.decode(sent[m.name]) for m in self.members if m.name in sent}
        return values if self.python is None else self.python(**values)

    def map(self, value: object, change: Change) -> object:
        if not self.has_leaves:
            return value
        kinds = {member.name: member.kind for member in self.members}
        sent = cast("dict[str, object]", value)
        return {name: kinds[name].map(item, change) if name in kinds else item for name, item in sent.items()}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a `Record`."""

    name: str
    kind: Kind
    required: bool


Kind: TypeAlias = (
    Text | Integer | Number | Boolean | Anything | Null | Mapping | Array | Union | Nullable | Choice | File
    | SecretText | Record
)  # fmt: skip
