"""The kinds of values that hold other kinds: lists and all that is written as one, dicts, and unions."""

# ruff: noqa: D102  (the methods are described in `Kind`, once for all kinds)
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast

from cog.errors import Problem
from cog.signature.objects import Record
from cog.signature.problems import Place, key_shown, wrong, wrong_type
from cog.signature.scalars import (
    JSON,
    NO_LEAVES,
    Anything,
    Change,
    Kind,
    Leaves,
    Schema,
    Text,
    ordered,
    plain,
)

Container: TypeAlias = Literal["list", "tuple", "set", "frozenset"]

_MAKERS: Final[dict[Container, Callable[[Iterable[object]], object]]] = {
    "tuple": tuple, "set": set, "frozenset": frozenset,
}  # fmt: skip
_SEVERAL: Final = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Mapping(Kind):
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

    def encode(self, value: object) -> JSON:
        if (
            self.values is None
            or not isinstance(value, dict)
            or not all(isinstance(key, str) for key in value)
        ):
            return plain(value)
        return {key: self.values.encode(item) for key, item in value.items()}

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        if self.values is None or not self.has_leaves:
            return value
        sent = cast("dict[str, object]", value)
        return {key: self.values.map(item, change, marked=marked) for key, item in sent.items()}


@dataclass(frozen=True, slots=True)
class Array(Kind):
    """`list[T]`, and what else has any number of items of one kind; `into` is what the model gets."""

    items: Kind
    into: Container = "list"

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

    def decode(self, value: object) -> object:
        items = [self.items.decode(item) for item in cast("list[object]", value)]
        return items if self.into == "list" else _MAKERS[self.into](items)

    def encode(self, value: object) -> JSON:
        if not isinstance(value, _SEVERAL):
            return plain(value)
        items = value if isinstance(value, list) else ordered(value)
        return [self.items.encode(item) for item in items]

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        if not self.has_leaves:
            return value
        return [self.items.map(item, change, marked=marked) for item in cast("list[object]", value)]


@dataclass(frozen=True, slots=True)
class Tuple(Kind):
    """`tuple[A, B]`, a `NamedTuple`: each item has a kind of its own.

    `least` is how many must be there, all of them when it is None. `python` is the class of a NamedTuple, known in the
    worker only.
    """

    items: tuple[Kind, ...]
    least: int | None = None
    python: Callable[..., object] | None = field(default=None, compare=False, repr=False)

    @property
    def _shortest(self) -> int:
        return len(self.items) if self.least is None else self.least

    @property
    def leaves(self) -> Leaves:
        return NO_LEAVES.union(*(item.leaves for item in self.items))

    def json_schema(self) -> Schema:
        """OpenAPI 3.0 has no schema by position: those of the items stand in `x-cog-items`, when they differ."""
        schemas = [item.json_schema() for item in self.items]
        different = [each for index, each in enumerate(schemas) if each not in schemas[:index]]
        schema: Schema = {"type": "array", "minItems": self._shortest, "maxItems": len(self.items)}
        if len(different) > 1:
            schema["items"] = {"anyOf": list[JSON](different)}
            schema["x-cog-items"] = list[JSON](item.json_schema() for item in self.items)
        else:
            schema["items"] = different[0] if different else {}
        return schema

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield wrong_type(value, at, "array", hidden=self.secret)
            return
        if not self._shortest <= len(value) <= len(self.items):
            wanted = (
                f"{self._shortest} to {len(self.items)}"
                if self._shortest < len(self.items)
                else f"{len(self.items)}"
            )
            yield wrong(value, at, f"has {len(value)} items, but {wanted} are wanted", hidden=self.secret)
        for index, (item, kind) in enumerate(zip(value, self.items, strict=False)):
            yield from kind.check(item, (*at, index), local_files=local_files)

    def decode(self, value: object) -> object:
        made = tuple(
            kind.decode(item) for kind, item in zip(self.items, cast("list[object]", value), strict=False)
        )
        return made if self.python is None else self.python(*made)

    def encode(self, value: object) -> JSON:
        if not isinstance(value, (list, tuple)):
            return plain(value)
        kinds: Sequence[Kind] = [*self.items, *(Anything() for _ in value[len(self.items) :])]
        return [kind.encode(item) for kind, item in zip(kinds, value, strict=False)]

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        if not self.has_leaves:
            return value
        pairs = zip(self.items, cast("list[object]", value), strict=False)
        return [kind.map(item, change, marked=marked) for kind, item in pairs]


@dataclass(frozen=True, slots=True)
class Union(Kind):
    """`A | B`: the first member that fits, in the order written; but what takes every text, every object or anything at all
    comes after what is more particular, and of several classes the one that knows most of the names sent is taken. A
    text is a file only when it is a URL, unless nothing else takes it.

    None among the members is a `Nullable` around it.
    """

    members: tuple[Kind, ...]

    @property
    def leaves(self) -> Leaves:
        return NO_LEAVES.union(*(member.leaves for member in self.members))

    def json_schema(self) -> Schema:
        return {"anyOf": [member.json_schema() for member in self.members]}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if self.fitting(value, local_files=local_files) is None:
            complaint = "is not valid under any of the schemas listed in the 'anyOf' keyword"
            yield wrong(value, at, complaint, hidden=self.secret)

    def fitting(self, value: object, *, local_files: bool) -> int | None:
        """Which of the members `value` is; None when it is none."""
        for as_path in (False, True) if local_files else (False,):
            fits = [
                index
                for index, member in enumerate(self.members)
                if _fits(member, value, local_files=as_path)
            ]
            if fits:
                return min(fits, key=lambda index: _rank(self.members[index], value))
        return None

    def decode(self, value: object) -> object:
        if "file" in self.leaves:  # it was told which member it is
            index, value = cast("tuple[int, object]", value)
        else:
            found = self.fitting(value, local_files=True)
            index = -1 if found is None else found
        return value if index < 0 else self.members[index].decode(value)

    def encode(self, value: object) -> JSON:
        for member in sorted(self.members, key=lambda member: _rank(member, None)):
            try:
                made = member.encode(value)
            except (TypeError, ValueError):
                continue
            if _fits(member, made, local_files=True):
                return made
        return plain(value)

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        if not self.has_leaves:
            return value
        index = self.fitting(value, local_files=True)
        made = value if index is None else self.members[index].map(value, change, marked=marked)
        if marked and "file" in self.leaves:
            return [-1 if index is None else index, made]
        return made


def _fits(kind: Kind, value: object, *, local_files: bool) -> bool:
    return next(kind.check(value, (), local_files=local_files), None) is None


def _rank(kind: Kind, value: object) -> tuple[int, int]:
    """The lower, the sooner."""
    if isinstance(kind, Record):
        return 0, -sum(member.name in value for member in kind.members) if isinstance(value, dict) else 0
    return (2 if isinstance(kind, Anything) else int(isinstance(kind, (Text, Mapping)))), 0


@dataclass(frozen=True, slots=True)
class Nullable(Kind):
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

    def encode(self, value: object) -> JSON:
        return None if value is None else self.inner.encode(value)

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        return None if value is None else self.inner.map(value, change, marked=marked)


def innermost(kind: Kind) -> Kind:
    """The kind of the single values: what is inside a Nullable and inside lists."""
    while isinstance(kind, (Nullable, Array)):
        kind = kind.inner if isinstance(kind, Nullable) else kind.items
    return kind
