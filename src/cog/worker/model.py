"""The model, loaded: what the engines call. The one place that asks what kind of callable it is; after it there is
one shape.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

from cog.errors import SignatureError
from cog.signature.entry import Entry
from cog.signature.facts import Signature
from cog.signature.inspect import read
from cog.signature.load import METHODS, TRAINING, load
from cog.worker.weights import weights

T = TypeVar("T")

# Bytes of an input that is read without the garbage collector.
_LARGE: Final = 1024 * 1024


class Model:
    """One instance of the model. The constructor of this class only stores; `load()` and `setup()` run the model's code."""

    def __init__(self, entry: Entry, run: Callable[..., object], instance: object | None) -> None:
        self._entry = entry
        self._instance = instance
        self.run = run

    @classmethod
    def load(
        cls,
        reference: str,
        folder: Path,
        max_concurrency: int | None,
        *,
        train: bool = False,
        survey: bool = False,
    ) -> Model:
        """Import the model, read its signature, make its instance. With `train` it is one that is trained; for a `survey`
        no instance is made, and it cannot be run.

        Raises:
            LoadError, SignatureError: it cannot be served; everything else is the model's own exception.
        """
        names = TRAINING if train else METHODS
        target = load(reference, folder, names)
        entry = read(target, names)
        if max_concurrency is not None and max_concurrency > 1 and not entry.signature.is_async:
            raise SignatureError(
                f"COG_MAX_CONCURRENCY (or concurrency.max in cog.yaml) is {max_concurrency}, but {reference} has a plain `def`: "
                "an async run() or predict() is required to serve several predictions in one process. Write `async def`, "
                "or take the number away and use --threads for several processes."
            )
        if survey or not isinstance(target, type):
            return cls(entry, target, None)
        instance = target()
        return cls(entry, getattr(instance, entry.function), instance)

    @property
    def signature(self) -> Signature:
        """What the model accepts and returns."""
        return self._entry.signature

    def arguments(self, payload: bytes) -> Mapping[str, object]:
        """The keyword arguments of a run, from its input as JSON text. (json.loads would guess at the encoding of bytes.)"""
        if len(payload) <= _LARGE:
            return self._entry.arguments(json.loads(payload.decode()))
        return _without_collector(lambda: self._entry.arguments(json.loads(payload.decode())))

    def inputs(self, payload: bytes) -> list[Mapping[str, object]]:
        """The inputs of a batch, from JSON text."""
        made = (
            json.loads(payload.decode())
            if len(payload) <= _LARGE
            else _without_collector(lambda: json.loads(payload))
        )
        return cast("list[Mapping[str, object]]", made)

    def arguments_of(self, values: Mapping[str, object]) -> Mapping[str, object]:
        """The keyword arguments for one input."""
        return self._entry.arguments(values)

    def together(self, inputs: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        """The keyword arguments of one call, from those of each of a batch."""
        return self._entry.together(inputs)

    def setup(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `setup()`, to its end on `loop` when it is async. `weights` is what COG_WEIGHTS says, or None."""
        if not self._entry.has_setup:
            return
        setup = cast("Callable[..., object]", getattr(self._instance, "setup"))  # noqa: B009
        given = (weights(setup, os.environ.get("COG_WEIGHTS")),) if self._entry.setup_takes_weights else ()
        result = setup(*given)
        if inspect.isawaitable(result):
            loop.run_until_complete(_completed(result))

    @property
    def healthcheck(self) -> Callable[[], object] | None:
        """The model's own `healthcheck`, when it has one."""
        return getattr(self._instance, "healthcheck") if self.signature.healthcheck else None  # noqa: B009


def _without_collector(read: Callable[[], T]) -> T:
    """Millions of new lists make Python look for circles again and again: 9 s for 76 MiB instead of 2, in which no other
    thread runs, the one that says that this worker is not frozen included. There are none in JSON."""
    if not gc.isenabled():
        return read()
    gc.disable()
    try:
        return read()
    finally:
        gc.enable()


async def _completed(result: Awaitable[object]) -> object:
    return await result
