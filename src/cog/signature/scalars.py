"""The kinds of values that hold no other kinds; `kinds.py` has the others and says what all can do."""

# ruff: noqa: D102  (the methods are described in kinds.py, once for all kinds)
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, TypeAlias, cast

from cog.errors import Problem
from cog.signature.problems import Place, shown, wrong, wrong_type

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None
Schema: TypeAlias = dict[str, JSON]
Change: TypeAlias = Callable[["File | SecretText", object], object]
Leaves: TypeAlias = frozenset[Literal["file", "secret"]]

NO_LEAVES: Final[Leaves] = frozenset()

_opened: Final[list[BinaryIO]] = []

_NO_URL: Final = (
    "is not an http://, https:// or data: URL. The model runs on the server, where the client's paths mean "
    "nothing: send a URL that the server can reach, or the file itself as a data URL"
)

# A model may offer thousands of choices; enough of them are shown to see what was meant.
_SHOWN_CHOICES: Final = 1000


def take_opened() -> tuple[BinaryIO, ...]:
    """The files that `decode` has opened since the last call: the caller closes them."""
    if not _opened:
        return ()
    files = tuple(_opened)
    _opened.clear()
    return files


def enumeration(values: Sequence[str | int]) -> Schema:
    """The schema of one of `values`."""
    schema: Schema = {"enum": list(values)}
    if all(isinstance(value, str) for value in values):
        schema["type"] = "string"
    elif all(type(value) is int for value in values):
        schema["type"] = "integer"
    return schema


def chosen(values: Sequence[str | int], value: object) -> str | int | None:
    """The one of `values` that the JSON value `value` means: 2.0 is 2, but true is not 1."""
    for candidate in values:
        if candidate == value and isinstance(candidate, bool) == isinstance(value, bool):
            return candidate
    return None


def not_chosen(values: Sequence[str | int], value: object, at: Place, *, hidden: bool = False) -> Problem:
    """The problem that `value` is none of `values`."""
    return wrong(value, at, f"is not one of {shown(list(values), limit=_SHOWN_CHOICES)}", hidden=hidden)


class Plain:
    """What most kinds do: hold no leaves, and hand a JSON value to the model as it is."""

    __slots__ = ()

    @property
    def leaves(self) -> Leaves:
        return NO_LEAVES

    @property
    def has_leaves(self) -> bool:
        return bool(self.leaves)

    @property
    def secret(self) -> bool:
        return "secret" in self.leaves

    def decode(self, value: object) -> object:
        return value

    def map(self, value: object, change: Change) -> object:
        return value


@dataclass(frozen=True, slots=True)
class Text(Plain):
    """`str`."""

    def json_schema(self) -> Schema:
        return {"type": "string"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string")


@dataclass(frozen=True, slots=True)
class Integer(Plain):
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
class Number(Plain):
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
class Boolean(Plain):
    """`bool`."""

    def json_schema(self) -> Schema:
        return {"type": "boolean"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield wrong_type(value, at, "boolean")


@dataclass(frozen=True, slots=True)
class Anything(Plain):
    """`Any`: every JSON value."""

    def json_schema(self) -> Schema:
        return {}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Null(Plain):
    """`None` as a type of its own; beside other types it becomes `Nullable`."""

    def json_schema(self) -> Schema:
        return {"enum": [None], "nullable": True}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if value is not None:
            yield wrong_type(value, at, "null")


@dataclass(frozen=True, slots=True)
class Choice(Plain):
    """`Literal[...]`: one of some strings and integers."""

    values: tuple[str | int, ...]

    def json_schema(self) -> Schema:
        return enumeration(self.values)

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if chosen(self.values, value) is None:
            yield not_chosen(self.values, value, at)

    def decode(self, value: object) -> object:
        return chosen(self.values, value)


@dataclass(frozen=True, slots=True)
class File(Plain):
    """`cog.Path` (`path`), which the model gets as a path, and `cog.File` (`file`), which it gets opened."""

    style: Literal["path", "file"] = "path"

    @property
    def leaves(self) -> Leaves:
        return frozenset({"file"})

    def json_schema(self) -> Schema:
        return {"type": "string", "format": "uri"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string")
        elif not local_files and not value[:8].lower().startswith(("http://", "https://", "data:")):
            yield wrong(value, at, _NO_URL)

    def decode(self, value: object) -> object:
        from cog.sdk.types import Path  # here, so that the server never loads what only the model needs

        path = cast("str", value)
        if self.style == "path":
            return Path(path)
        file = open(path, "rb")  # noqa: SIM115  closed at the end of the run, by who takes it (`take_opened`)
        _opened.append(file)
        return file

    def map(self, value: object, change: Change) -> object:
        return change(self, value)


@dataclass(frozen=True, slots=True)
class SecretText(Plain):
    """`cog.Secret`."""

    @property
    def leaves(self) -> Leaves:
        return frozenset({"secret"})

    def json_schema(self) -> Schema:
        return {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string", hidden=True)

    def decode(self, value: object) -> object:
        from cog.sdk.types import Secret  # here, so that the server never loads what only the model needs

        return Secret(cast("str", value))

    def map(self, value: object, change: Change) -> object:
        return change(self, value)
