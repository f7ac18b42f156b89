"""From a class with named and typed members to a `Record`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from cog.sdk.model import BaseModel, is_optional
from cog.signature.annotations import Unsupported, is_class, is_typed_dict
from cog.signature.kinds import Anything, Kind, Mapping, Member, Record, Wrapped

Above: TypeAlias = tuple[object, ...]
KindOf: TypeAlias = Callable[[object, Above], Kind]


class _Field(NamedTuple):
    """A member as its class has it: whether it has no default, and what it is called in JSON when it is sent."""

    required: bool
    sent_as: str = ""


def record(cls: object, above: Above, kind_of: KindOf, *, sent: bool = False) -> Kind | None:
    """The kind of a BaseModel, dataclass, pydantic model (1 or 2) or TypedDict; None for everything else.

    `above` are the records that it is part of; `kind_of(annotation, above)` is asked for the kinds of its members. `sent`
    is True for an input, False for an output. A class that contains itself is described once; inside itself it is an
    object of any shape.

    Raises:
        Unsupported: a member has a type that cannot be sent or put out.
    """
    if not is_class(cls):
        return None
    if cls in above:
        return Mapping(None)
    try:
        names = _names(cls, sent=sent)
        if names is None:
            return None
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise Unsupported(
            f"the members of {cls.__qualname__} cannot be read ({error}). "
            "Import every name that its annotations use, also outside TYPE_CHECKING."
        ) from None
    if getattr(cls, "__pydantic_root_model__", False):
        return Wrapped(kind_of(hints.get("root", Any), (*above, cls)), cls.__name__, python=cls)
    lenient = sent and (is_typed_dict(cls) or _is_pydantic(cls))
    members = _Members(cls, hints, (*above, cls), kind_of, sent=sent, lenient=lenient)
    made = tuple(members.of(name, field) for name, field in names.items())
    return Record(cls.__name__, made, kept=lenient, python=cls)


@dataclasses.dataclass(frozen=True)
class _Members:
    """Makes the members of the class `cls`. When it is `lenient`, a member of a type that has no kind can be anything:
    pydantic checks it, and a TypedDict never did."""

    cls: type
    hints: dict[str, object]
    above: Above
    kind_of: KindOf
    sent: bool
    lenient: bool

    def of(self, name: str, field: _Field) -> Member:
        annotation = self.hints.get(name, Any)
        may_lack = is_optional(annotation)
        required = field.required and not _left_out(annotation)
        return Member(
            field.sent_as or name,
            self._kind(name, annotation),
            required and not may_lack,
            attribute=name if field.sent_as not in ("", name) else "",
            or_none=self.sent and required and may_lack,
        )

    def _kind(self, name: str, annotation: object) -> Kind:
        try:
            return self.kind_of(annotation, self.above)
        except Unsupported as error:
            if self.lenient:
                return Anything()
            raise Unsupported(f"in {self.cls.__name__}.{name}: {error}") from None


def _left_out(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    return (
        getattr(origin, "_name", None) == "NotRequired" or getattr(origin, "__name__", None) == "NotRequired"
    )


def _names(cls: type, *, sent: bool) -> dict[str, _Field] | None:
    """The members by name; None when the class is no record."""
    pydantic = _pydantic(cls, sent=sent)
    if pydantic is not None:
        return pydantic
    if dataclasses.is_dataclass(cls):
        return {
            field.name: _Field(field.default is field.default_factory is dataclasses.MISSING)
            for field in dataclasses.fields(cls)
            if field.init or not sent
        }
    if is_typed_dict(cls):
        required = getattr(cls, "__required_keys__", ())
        return {name: _Field(name in required) for name in typing.get_type_hints(cls)}
    if issubclass(cls, BaseModel):
        return {
            name: _Field(not hasattr(cls, name))
            for base in reversed(cls.__mro__)
            for name in vars(base).get("__annotations__", {})
            if not name.startswith("__")
        }
    return None


def _is_pydantic(cls: type) -> bool:
    return hasattr(cls, "__pydantic_validator__") or _pydantic(cls, sent=False) is not None


def _pydantic(cls: Any, *, sent: bool) -> dict[str, _Field] | None:
    """The members of a pydantic model, recognised by what it carries: pydantic itself is not imported."""
    fields = getattr(cls, "model_fields", None)
    if isinstance(fields, dict) and hasattr(cls, "model_dump"):  # version 2
        config = getattr(cls, "model_config", {})
        either = any(config.get(key) for key in ("populate_by_name", "validate_by_name"))
        found = {name: (field.is_required(), _alias(field)) for name, field in fields.items()}
    else:
        fields = getattr(cls, "__fields__", None)
        if not isinstance(fields, dict) or not hasattr(cls, "parse_obj"):
            return None
        either = bool(getattr(cls.__config__, "allow_population_by_field_name", False))
        found = {name: (bool(field.required), field.alias) for name, field in fields.items()}
    if not sent:
        return {name: _Field(required) for name, (required, _) in found.items()}
    return {
        # Where it may be sent under either name, pydantic sees whether it is missing.
        name: _Field(required and not (either and alias != name), alias)
        for name, (required, alias) in found.items()
    }


def _alias(field: Any) -> str:
    """The name that pydantic 2 reads a member by; the first of several."""
    alias = field.validation_alias
    if alias is None:
        alias = field.alias
    for choice in getattr(alias, "choices", ()):  # AliasChoices
        if isinstance(choice, str):
            alias = choice
            break
    return alias if isinstance(alias, str) else ""
