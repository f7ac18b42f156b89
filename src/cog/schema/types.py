"""The types of a signature as msgspec takes them, for the fast check."""

from __future__ import annotations

import functools
import math
import operator
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta

from cog.signature.choices import Scalar
from cog.signature.facts import Parameter
from cog.signature.kinds import (
    Anything,
    Array,
    Boolean,
    Choice,
    File,
    Integer,
    Kind,
    Mapping,
    Null,
    Nullable,
    Number,
    SecretText,
    Text,
    Union,
)  # fmt: skip

# What msgspec decodes into. A type that is made at run time has no better name.
FastType: TypeAlias = Any

_URL: Final = Annotated[str, Meta(pattern=r"\A(?i:https?://|data:)")]
_PLAIN: Final[dict[type, FastType]] = {
    Text: str, Integer: int, Number: float, Boolean: bool, Anything: Any, Null: type(None), SecretText: str,
}  # fmt: skip

# msgspec takes no bounds and no choices beyond these.
_INT64: Final = range(-(2**63), 2**63)

_LENGTHS: Final = frozenset({"min_length", "max_length", "regex"})
_BOUNDS: Final = frozenset({"ge", "le"})
_CHOICES: Final = frozenset({"choices"})


def parameter_type(parameter: Parameter, *, local_files: bool) -> FastType | None:
    """The type that accepts nothing wrong for `parameter`; None when msgspec has no such type."""
    given = {rule for rule in _LENGTHS | _BOUNDS | _CHOICES if getattr(parameter, rule) is not None}
    return _type(parameter.kind, parameter, given, local_files=local_files)


def _type(kind: Kind, parameter: Parameter, given: set[str], *, local_files: bool) -> FastType | None:
    """The rules `given` hold for the items of a list, and for what may be null."""
    match kind:
        case Nullable(inner):
            expected = _type(inner, parameter, given, local_files=local_files)
            return None if expected is None else expected | None
        case Array(items):
            expected = _type(items, parameter, given, local_files=local_files)
            return None if expected is None else list[expected]  # type: ignore[valid-type]  # made at run time
        case Text() if given and given <= _LENGTHS:
            return _text(parameter)
        case Text() | Integer() if given == _CHOICES and parameter.choices is not None:
            wanted = str if isinstance(kind, Text) else int
            return _one_of(tuple(value for value in parameter.choices if type(value) is wanted))
        case Integer() if given and given <= _BOUNDS:
            return _integer(parameter)
        case Number() if given and given <= _BOUNDS:
            return _number(parameter)
    return None if given else _unlimited(kind, local_files=local_files)


def _unlimited(kind: Kind, *, local_files: bool) -> FastType | None:
    match kind:
        case Mapping(None):
            return dict[str, Any]
        case Mapping(Anything() | Text() | Integer() | Number() | Boolean() as values):
            return dict[str, _PLAIN[type(values)]]  # type: ignore[misc]  # made at run time
        case Choice(values):
            return _one_of(values)
        case Union(members):
            return _any_of(members)
        case File():
            return str if local_files else _URL
        case _:
            return _PLAIN.get(type(kind))


def _any_of(members: tuple[Kind, ...]) -> FastType | None:
    """A union of scalars; what may hold a secret or a file is left to the complete check."""
    if not all(isinstance(member, Text | Integer | Number | Boolean | Null) for member in members):
        return None
    return functools.reduce(operator.or_, [_PLAIN[type(member)] for member in members])


def unread(parameter: Parameter) -> bytes | None:
    """The first letters that the JSON text for `parameter` may have, when nothing more is asked of it."""
    if any(getattr(parameter, rule) is not None for rule in _LENGTHS | _BOUNDS | _CHOICES):
        return None
    return _first_letters(parameter.kind)


def _first_letters(kind: Kind) -> bytes | None:
    match kind:
        case Anything():
            return b'{["-0123456789tfn'
        case Mapping(None):
            return b"{"
        case Array(Anything()):
            return b"["
        case Nullable(inner):
            letters = _first_letters(inner)
            return letters and letters + b"n"
        case _:
            return None


def _text(parameter: Parameter) -> FastType:
    limits = Meta(min_length=parameter.min_length, max_length=parameter.max_length, pattern=parameter.regex)
    return Annotated[str, limits]


def _one_of(values: tuple[Scalar, ...]) -> FastType | None:
    plain = all(type(value) is str or (type(value) is int and value in _INT64) for value in values)
    return Literal[values] if values and plain else None


def _integer(parameter: Parameter) -> FastType | None:
    """The bounds as whole numbers: between 0.5 and 2.5 lie 1 and 2."""
    bounds = [bound for bound in (parameter.ge, parameter.le) if bound is not None]
    if not all(math.isfinite(bound) and int(bound) in _INT64[1:-1] for bound in bounds):
        return None
    low = None if parameter.ge is None else math.ceil(parameter.ge)
    high = None if parameter.le is None else math.floor(parameter.le)
    return Annotated[int, Meta(ge=low, le=high)]


def _number(parameter: Parameter) -> FastType | None:
    low, high = (None if bound is None else _exact(bound) for bound in (parameter.ge, parameter.le))
    if (low is None) != (parameter.ge is None) or (high is None) != (parameter.le is None):
        return None
    return Annotated[float, Meta(ge=low, le=high)]


def _exact(bound: float) -> float | None:
    """`bound` as a float when that changes nothing: msgspec compares floats, Python also big integers."""
    if not math.isfinite(bound) or abs(bound) > 2**53:
        return None
    return float(bound)
