"""From a class with named and typed members to a `Record`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from cog.sdk.model import BaseModel, is_optional
from cog.signature.annotations import Unsupported, is_class, is_typed_dict
from cog.signature.kinds import Kind, Mapping, Member, Record

Above: TypeAlias = tuple[object, ...]
KindOf: TypeAlias = Callable[[object, Above], Kind]


def record(cls: object, above: Above, kind_of: KindOf) -> Kind | None:
    """The kind of a BaseModel, dataclass, pydantic model (1 or 2) or TypedDict; None for everything else.

    `above` are the records that it is part of; `kind_of(annotation, above)` is asked for the kinds of its
    members. A class that contains itself is described once; inside itself it is an object of any shape.

    Raises:
        Unsupported: a member has a type that cannot be put out.
    """
    if not is_class(cls):
        return None
    if cls in above:
        return Mapping(None)
    try:
        names = _names(cls)
        if names is None:
            return None
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise Unsupported(
            f"the members of {cls.__qualname__} cannot be read ({error}). "
            "Import every name that its annotations use, also outside TYPE_CHECKING."
        ) from None
    return Record(cls.__name__, tuple(_members(cls, names, hints, (*above, cls), kind_of)), python=cls)


def _members(
    cls: type, names: dict[str, bool], hints: dict[str, object], above: Above, kind_of: KindOf
) -> Iterator[Member]:
    for name, required in names.items():
        annotation = hints.get(name, typing.Any)
        try:
            kind = kind_of(annotation, above)
        except Unsupported as error:
            raise Unsupported(f"in {cls.__name__}.{name}: {error}") from None
        yield Member(name, kind, required and not is_optional(annotation) and not _left_out(annotation))


def _left_out(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    return (
        getattr(origin, "_name", None) == "NotRequired" or getattr(origin, "__name__", None) == "NotRequired"
    )


def _names(cls: type) -> dict[str, bool] | None:
    """The members' names, and whether each has no default; None when the class is no record."""
    pydantic = _pydantic(cls)
    if pydantic is not None:
        return pydantic
    if dataclasses.is_dataclass(cls):
        return {
            field.name: field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            for field in dataclasses.fields(cls)
        }
    if is_typed_dict(cls):
        required = getattr(cls, "__required_keys__", ())
        return {name: name in required for name in typing.get_type_hints(cls)}
    if issubclass(cls, BaseModel):
        return {
            name: not hasattr(cls, name)
            for base in reversed(cls.__mro__)
            for name in vars(base).get("__annotations__", {})
            if not name.startswith("__")
        }
    return None


def _pydantic(cls: Any) -> dict[str, bool] | None:
    """The members of a pydantic model, recognised by what it carries: pydantic itself is not imported."""
    fields = getattr(cls, "model_fields", None)
    if isinstance(fields, dict) and hasattr(cls, "model_dump"):  # version 2
        return {name: field.is_required() for name, field in fields.items()}
    fields = getattr(cls, "__fields__", None)
    if isinstance(fields, dict) and hasattr(cls, "parse_obj"):  # version 1
        return {name: bool(field.required) for name, field in fields.items()}
    return None
