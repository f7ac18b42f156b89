"""What a single prediction is to a model whose `run()` answers several in one call (`@batch`): the types of the items of
its lists.
"""

from __future__ import annotations

import collections.abc as abc
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from cog.sdk.decorators import Batching
from cog.signature.annotations import Unsupported, shown
from cog.signature.facts import Batch
from cog.signature.outputs import YIELDING

_LISTS: typing.Final = (list, abc.Sequence)


def batch_of(rule: Batching | None) -> Batch | None:
    """What `@batch` left on a function, as a fact."""
    return None if rule is None else Batch(rule.max_size, rule.max_wait, rule.same)


def item_of(annotation: object) -> object:
    """The type of one item of a parameter.

    Raises:
        Unsupported: it is not annotated as a list.
    """
    return _item(
        annotation,
        "run() is decorated with @batch, so each parameter is a list with an item for each prediction. "
        f"Write list[{shown(annotation)}], or name the parameter in @batch(same=(...)) when one value is for all of them",
    )


def result_of(annotation: object) -> object:
    """The return annotation of a single prediction.

    Raises:
        Unsupported: neither a list is returned nor are lists yielded.
    """
    origin: Any = typing.get_origin(annotation) or annotation
    if origin not in YIELDING:
        advice = (
            "run() is decorated with @batch, so it returns a list with an item for each prediction. Write -> "
            f"list[{shown(annotation)}]"
        )
        return _item(annotation, advice)
    args = typing.get_args(annotation)
    if not args:
        return annotation
    advice = (
        "run() is decorated with @batch, so it yields lists with an item for each prediction. Write -> "
        f"{getattr(origin, '__name__', origin)}[list[{shown(args[0])}]]"
    )
    item = _item(args[0], advice)
    every: Any = (item, *args[1:])
    return origin[every if len(args) > 1 else item]


def _item(annotation: object, advice: str) -> object:
    if (typing.get_origin(annotation) or annotation) not in _LISTS:
        raise Unsupported(advice)
    args = typing.get_args(annotation)
    return args[0] if args else Any


def strangers(batch: Batch | None, known: Iterable[str]) -> Iterator[str]:
    """What is wrong with the names in `same`."""
    names = list(known)
    for name in () if batch is None else batch.same:
        if name not in names:
            yield (
                f"is decorated with @batch(same=...), which names {name!r}, but has no such parameter. Name one of "
                f"{', '.join(names) or 'its parameters, when it has some'}"
            )
