"""A model that was read: its facts, and how an input becomes the arguments of a call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cog.errors import InputRefused
from cog.signature.facts import Parameter, Signature


class Argument(NamedTuple):
    """One parameter of the call. `default` makes the value that is passed when none was sent; None: pass
    nothing."""

    name: str
    decode: Callable[[object], object]
    default: Callable[[], object] | None


@dataclass(frozen=True)
class Entry:
    """What a worker needs to know of a model.

    `function` is the name of the method to call, "" when the model is a function itself. `has_setup` is True
    when the model defines `setup()`, `setup_takes_weights` when that wants the weights.
    """

    signature: Signature
    function: str
    setup_takes_weights: bool
    has_setup: bool
    parameters: tuple[Argument, ...]

    def arguments(self, values: Mapping[str, object]) -> dict[str, object]:
        """The keyword arguments of a call, from checked JSON in which files are local paths (see `Kind.decode`).

        Names that the model lacks are ignored. Every call makes new objects, defaults included.

        Raises:
            InputRefused: a class of the model's own does not take a value.
        """
        made: dict[str, object] = {}
        for name, decode, default in self.parameters:
            try:
                if name in values:
                    made[name] = decode(values[name])
                elif default is not None:
                    made[name] = default()
            except InputRefused as error:
                raise InputRefused(f"input {name}: {error}") from error.__cause__
        return made

    def together(self, inputs: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """The keyword arguments of one call for several predictions (`@batch`), from those that `arguments` made of each."""
        same = () if self.signature.batch is None else self.signature.batch.same
        return {
            name: inputs[0][name] if name in same else [made[name] for made in inputs]
            for name in (parameter.name for parameter in self.parameters)
            if all(name in made for made in inputs)
        }


def argument(parameter: Parameter, opaque: object = None) -> Argument:
    """How `parameter` is passed; `opaque` is its default when that has no JSON form."""
    decode = parameter.kind.decode
    if parameter.opaque_default:
        return Argument(parameter.name, decode, lambda: opaque)
    if parameter.default is None:
        return Argument(parameter.name, decode, None)
    value = parameter.default.value
    if "file" in parameter.kind.leaves:
        change = parameter.kind.map
        return Argument(
            parameter.name, decode, lambda: decode(change(value, lambda _, leaf: leaf, marked=True))
        )
    if isinstance(value, (list, dict)):
        return Argument(parameter.name, decode, lambda: decode(copy.deepcopy(value)))
    return Argument(parameter.name, decode, lambda: decode(value))
