"""What a server offers, read from its OpenAPI document; also from those of older Cog servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cog.errors import ModelFailed

_EMPTY: Final[Mapping[str, Any]] = {}
_REFERENCE: Final = "#/components/schemas/"
_NOT_OFFERED: Final = {
    "prediction": "The server makes no predictions: it was started to train (--x-mode train). `cog train` asks for that.",
    "training": "The server offers no trainings: its model has no training function, or that cannot be loaded, which the "
    'log of the server tells then. A model has one when cog.yaml says, for example, train: "train.py:train".',
}
_DEEPEST: Final = 20  # references that lead to references


@dataclass(frozen=True, slots=True)
class Interface:
    """Where a model is asked, and what it gives.

    `noun` is prediction or training. `output` is the JSON Schema of what comes out, `schemas` holds what it refers
    to. `polls`: a running prediction can be asked for by its id, which Cog's servers before this one cannot do.
    """

    noun: str
    output: Mapping[str, Any]
    schemas: Mapping[str, Any]
    polls: bool

    @property
    def path(self) -> str:
        """Where predictions are created: `/predictions`."""
        return f"/{self.noun}s"

    @property
    def component(self) -> str:
        """The schema of the input: `Input`, or `TrainingInput`."""
        return "TrainingInput" if self.noun == "training" else "Input"

    def resolve(self, schema: object) -> Mapping[str, Any]:
        """`schema` itself, or what it refers to; `{}` for what cannot be read."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, dict):
                return _EMPTY
            whole = schema.get("allOf")
            if isinstance(whole, list) and len(whole) == 1:
                schema = whole[0]
            elif isinstance(schema.get("$ref"), str):
                schema = self.schemas.get(schema["$ref"].removeprefix(_REFERENCE))
            else:
                return schema
        return _EMPTY


def read(document: object, *, train: bool = False) -> Interface:
    """The interface that `document` describes: of predictions, or of trainings.

    Raises:
        ModelFailed: the server offers only the other. Of one without a document that is not known.
    """
    paths = _mapping(_mapping(document).get("paths"))
    schemas = _mapping(_mapping(_mapping(document).get("components")).get("schemas"))
    noun = "training" if train else "prediction"
    if paths and f"/{noun}s" not in paths:
        raise ModelFailed(_NOT_OFFERED[noun])
    one = _mapping(paths.get(f"/{noun}s/{{{noun}_id}}"))
    output = _mapping(schemas.get("TrainingOutput" if train else "Output"))
    return Interface(noun, output, schemas, polls="get" in one)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _EMPTY
