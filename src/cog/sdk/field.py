"""`Input(...)`: what a model says of one of its inputs beside the type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final


@dataclass(frozen=True)
class FieldInfo:
    """What `Input(...)` was told. `required` is True when no default was given; `default` is None then."""

    default: Any = None
    description: str | None = None
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: Iterable[str | int] | None = None
    deprecated: bool | None = None
    accept: str | None = None
    required: bool = False


_NOT_GIVEN: Final = ...


def Input(  # noqa: N802  [compat] models call it by this name
    default: Any = _NOT_GIVEN,
    *,
    default_factory: Callable[[], Any] | None = None,
    description: str | None = None,
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    regex: str | None = None,
    choices: Iterable[str | int] | None = None,
    deprecated: bool | None = None,
    accept: str | None = None,
) -> Any:
    """Describe an input of `run()`: `steps: int = Input(default=20, ge=1, le=50, description="...")`.

    Without `default` the input is required; a default of None makes it optional and nullable. `ge` and `le`
    are inclusive limits of a number; `min_length`, `max_length` (characters) and `regex` (found anywhere, as
    by `re.search`) are for a `str`; `choices` are the only values allowed, for `str` and `int`; `accept`
    names the media types of a file as HTML does (`"image/*"`).

    Raises:
        TypeError: `default_factory` was given; a default is copied for each prediction, so no factory is
        needed.
    """
    if default_factory is not None:
        raise TypeError(
            "Input() takes no default_factory. Write the value itself, for example Input(default=[]): "
            "every prediction gets a fresh copy of it."
        )
    required = isinstance(default, EllipsisType)
    return FieldInfo(
        default=None if required else default,
        description=description,
        ge=ge,
        le=le,
        min_length=min_length,
        max_length=max_length,
        regex=regex,
        choices=choices,
        deprecated=deprecated,
        accept=accept,
        required=required,
    )
