"""The kinds of values that are written as objects and made into classes of the model's own."""

# ruff: noqa: D102  (the methods are described in `Kind`, once for all kinds)
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

from cog.errors import InputRefused, Problem
from cog.signature.problems import Place, missing, wrong_type
from cog.signature.scalars import JSON, NO_LEAVES, Anything, Change, Kind, Leaves, Schema, plain

# What is said of a name that a class does not know.
_OTHER: Final = Anything()


def made(name: str, make: Callable[[], object]) -> object:
    """What the code of the model's class `name` makes.

    Raises:
        InputRefused: it raised something.
    """
    try:
        return make()
    except Exception as error:  # whatever a class of the model's says to a value is told to who sent it
        raise InputRefused(f"{name} does not take it: {type(error).__name__}: {error}") from error


def title(name: str) -> str:
    """The title of a field: `top_k` is `Top K`."""
    return " ".join(part.capitalize() for part in name.split("_") if part)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a `Record`: its name in JSON and its kind.

    `attribute` is its name in Python, "" for the same one. With `or_none` the class gets None when nothing was sent.
    """

    name: str
    kind: Kind
    required: bool
    attribute: str = ""
    or_none: bool = False


@dataclass(frozen=True, slots=True)
class Record(Kind):
    """A class with named and typed members: BaseModel, a dataclass, a pydantic model, a TypedDict.

    `python` is the class itself; it is known in the worker only and is not part of what is written down. Without one the
    model gets a dict. Names that are no members are dropped, but where they are `kept`: what becomes of them is for
    pydantic to say, and a TypedDict is a dict like any other.
    """

    name: str
    members: tuple[Member, ...]
    kept: bool = False
    python: Callable[..., object] | None = field(default=None, compare=False, repr=False)

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
        values = dict(sent) if self.kept else {}
        for member in self.members:
            if member.name in sent:
                values[member.name] = member.kind.decode(sent[member.name])
            elif member.or_none:
                values[member.name] = None
        python = self.python
        return values if python is None else made(self.name, lambda: python(**values))

    def encode(self, value: object) -> JSON:
        if isinstance(value, dict):
            kinds = {member.name: member.kind for member in self.members}
            known = value.keys() if self.kept else value.keys() & kinds.keys()
            return {
                name: kinds.get(name, _OTHER).encode(item) for name, item in value.items() if name in known
            }
        if not isinstance(self.python, type) or not isinstance(value, self.python):
            return plain(value)
        return {m.name: m.kind.encode(getattr(value, m.attribute or m.name)) for m in self.members}

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        if not self.has_leaves:
            return value
        kinds = {member.name: member.kind for member in self.members}
        sent = cast("dict[str, object]", value)
        return {
            name: kinds[name].map(item, change, marked=marked) if name in kinds else item
            for name, item in sent.items()
        }


class Coding(Protocol):
    """What a `cog.coder.Coder` does."""

    def encode(self, value: object) -> dict[str, object]:
        """The JSON object."""

    def decode(self, value: dict[str, object]) -> object:
        """The value of the model's own type."""


@dataclass(frozen=True, slots=True)
class Coded(Kind):
    """A type that a `Coder` of the model's own turns into a JSON object and back. `coder` is known in the worker only."""

    name: str
    coder: Coding | None = field(default=None, compare=False, repr=False)

    def json_schema(self) -> Schema:
        return {"title": self.name, "type": "object"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(value, at, "object")

    def decode(self, value: object) -> object:
        coder = self.coder
        if coder is None:
            return value
        return made(self.name, lambda: coder.decode(cast("dict[str, object]", value)))

    def encode(self, value: object) -> JSON:
        return plain(value if self.coder is None or isinstance(value, dict) else self.coder.encode(value))


@dataclass(frozen=True, slots=True)
class Wrapped(Kind):
    """A class around a single value, which JSON writes as that value: pydantic's RootModel. `python` is the class."""

    inner: Kind
    name: str
    python: Callable[..., object] | None = field(default=None, compare=False, repr=False)

    @property
    def leaves(self) -> Leaves:
        return self.inner.leaves

    def json_schema(self) -> Schema:
        return self.inner.json_schema()

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        return self.inner.check(value, at, local_files=local_files)

    def decode(self, value: object) -> object:
        found, python = self.inner.decode(value), self.python
        return found if python is None else made(self.name, lambda: python(found))

    def encode(self, value: object) -> JSON:
        return self.inner.encode(getattr(value, "root", value))

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        return self.inner.map(value, change, marked=marked)
