"""The `weights` of a model's `setup()`: the text of COG_WEIGHTS as what the parameter is declared to be."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Iterator

from cog.sdk.types import File, Path


def weights(setup: Callable[..., object], text: str | None) -> object:
    """What `setup` gets for `text`; None for None.

    A Path of a URL is one that is fetched by its `convert()`, since weights are large and models have ways of their own; its
    text is the URL. Where the annotation allows a str, says nothing, or cannot be resolved, it is the text itself.

    Raises:
        ValueError: a File is wanted, and the text is no URL.
    """
    kinds = list(_members(_annotation(setup)))
    if text is None or str in kinds:
        return text
    if any(issubclass(kind, os.PathLike) for kind in kinds):
        return Path.validate(text)
    if File in kinds:
        return File.validate(text)
    return text


def _annotation(setup: Callable[..., object]) -> object:
    try:
        return typing.get_type_hints(setup).get("weights")
    except Exception:  # noqa: BLE001  an annotation is the model's code: what cannot be resolved says nothing
        return None


def _members(annotation: object) -> Iterator[type]:
    """The classes of an annotation: its own, or those of a union."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for each in typing.get_args(annotation):
            yield from _members(each)
    elif isinstance(kind := origin or annotation, type):
        yield kind
