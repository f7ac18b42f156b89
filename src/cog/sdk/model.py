"""`BaseModel`: a class of named and typed members, for inputs and outputs."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Union

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options: object) -> Callable[[type], type]:
        """What `typing` has from 3.11 on: it only tells type-checkers what the class is."""
        return lambda cls: cls


def is_optional(annotation: object) -> bool:
    """True for `Optional[T]`, `T | None` and None."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return type(None) in typing.get_args(annotation)
    return annotation is None or annotation is type(None)


@dataclass_transform(field_specifiers=(dataclasses.field,))
class BaseModel:
    """Derive from it to name the members of an input or output; each subclass becomes a dataclass by itself.

    Class arguments go to `dataclasses.dataclass` (`class Output(BaseModel, frozen=True)`);
    `auto_dataclass=False` leaves the class alone. A member that is `Optional[...]` and has no default may be
    left out: it is None then.

    Raises:
        TypeError: another class stands before BaseModel among the bases, or another dataclass beside it.
        ValueError: `auto_dataclass=False` below a class that is a dataclass already.
    """

    __cog_auto__: ClassVar[bool] = False

    def __init_subclass__(cls, *, auto_dataclass: bool = True, init: bool = True, **options: Any) -> None:
        """See the class."""
        super().__init_subclass__()
        _check_bases(cls, auto_dataclass)
        cls.__cog_auto__ = auto_dataclass
        if not auto_dataclass:
            return
        options.pop("slots", None)  # they need a second class, which could not replace this one
        if any(_frozen(base) for base in cls.__mro__[1:]):
            options.setdefault("frozen", True)
        own = "__init__" in vars(cls)
        dataclasses.dataclass(init=init, **options)(cls)
        if init and not own:
            _forgive(cls)


def _check_bases(cls: type, auto_dataclass: bool) -> None:
    bases = cls.__bases__
    if not issubclass(bases[0], BaseModel):
        raise TypeError(
            f"the first base of {cls.__name__} is {bases[0].__name__}: write BaseModel (or a subclass "
            "of it) first."
        )
    for base in bases:
        if dataclasses.is_dataclass(base) and not issubclass(base, BaseModel):
            raise TypeError(
                f"{cls.__name__} mixes BaseModel with the dataclass {base.__name__}: derive "
                f"{base.__name__} from "
                "BaseModel too, without the dataclass decorator."
            )
    if not auto_dataclass and any(getattr(base, "__cog_auto__", False) for base in bases):
        raise ValueError(
            f"{cls.__name__} says auto_dataclass=False, but a class it derives from is a dataclass already: "
            "leave the argument out, or say it on that class too."
        )


def _frozen(base: type) -> bool:
    params = getattr(base, "__dataclass_params__", None)
    return params is not None and bool(params.frozen)


def _forgive(cls: type) -> None:
    """Let `cls(...)` be called without its optional members.

    Their defaults are not set on the class, because a member with a default could then not be followed by one
    without, in the class or in one derived from it.
    """
    fields = [field for field in dataclasses.fields(cls) if field.init]
    order = tuple(field.name for field in fields if not field.kw_only)
    bare = {
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    init: Callable[..., None] = cls.__init__  # type: ignore[misc]

    @functools.cache
    def optional() -> frozenset[str]:
        # Resolved at the first call: by then every name that an annotation uses exists.
        try:
            hints = typing.get_type_hints(cls)
        except (NameError, TypeError):  # a name for type-checkers only: then every member has to be given
            return frozenset()
        return frozenset(name for name in bare if is_optional(hints.get(name)))

    @functools.wraps(init)
    def __init__(self: object, *args: object, **kwargs: object) -> None:  # noqa: N807
        missing = bare.difference(order[: len(args)], kwargs) if bare else bare
        if missing:
            kwargs.update(dict.fromkeys(missing & optional()))
        init(self, *args, **kwargs)

    cls.__init__ = __init__  # type: ignore[misc]
