"""Markers for return types: text that comes in parts, and types that are not looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    # A type-checker accepts a generator only where the annotation is a supertype of Generator: to it these
    # are plain iterators.
    from collections.abc import AsyncIterator as AsyncConcatenateIterator
    from collections.abc import Iterator as ConcatenateIterator
else:
    T_co = TypeVar("T_co", covariant=True)

    class ConcatenateIterator(Generic[T_co]):
        """The return type of a `run()` that yields parts of one text: `-> ConcatenateIterator[str]`."""

    class AsyncConcatenateIterator(Generic[T_co]):
        """The return type of an `async def run()` that yields parts of one text."""


class Opaque:
    """`Annotated[T, Opaque]`: a JSON object whose members are not described in the schema and not checked."""


__all__ = ["AsyncConcatenateIterator", "ConcatenateIterator", "Opaque"]
