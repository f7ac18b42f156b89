"""What is known of a model from its source alone, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of the model.

    `annotation` is its type as the source has it. `schema` is its JSON Schema in the form of our OpenAPI document,
    as far as it is certain: an empty one says nothing. `required` is None when the source does not tell.
    `default` is a text for people: JSON, or the source of what cannot be evaluated; None when there is none to show.
    """

    name: str
    annotation: str
    schema: Mapping[str, object] = field(default_factory=dict)
    required: bool | None = None
    default: str | None = None
    description: str | None = None
    deprecated: bool = False
    accept: str | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """A model as its source shows it; nothing of it was run.

    `name` is the class or function, `output` the return annotation as the source has it. `complete` is True when
    `parameters` are certainly all that the model has: only then is another name certainly wrong. `asynchronous` is None
    where the source does not tell; `marks` are Cog's decorators by their full names, with their arguments (`marks.py`).
    """

    name: str
    doc: str | None = None
    parameters: tuple[Parameter, ...] = ()
    output: str | None = None
    complete: bool = False
    asynchronous: bool | None = None
    marks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, Mapping[str, object]]:
        """The schemas by name, as the `Input` of an OpenAPI document has them."""
        return {parameter.name: parameter.schema for parameter in self.parameters}

    @property
    def required(self) -> tuple[str, ...]:
        """The names without which a request is certainly refused."""
        return tuple(parameter.name for parameter in self.parameters if parameter.required is True)
