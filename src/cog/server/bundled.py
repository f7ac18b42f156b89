"""The schema file that an image was built with, compared with the model that is served. It decides nothing: the model itself
says what it accepts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cog.schema.openapi import document
from cog.service.service import Service
from cog.signature.facts import Signature

# Where `cog build` puts it.
NAME: Final = ".cog/openapi_schema.json"

log = logging.getLogger("cog.server")


def compare(folder: Path, service: Service) -> None:
    """Warn of what the file in the model's `folder` says otherwise than the model, once that is set up. Without a file this
    costs nothing."""
    if (folder / NAME).is_file():
        service.watch(_Reader(folder / NAME, service).look)


class _Reader:
    """Looks once at each signature: with --reload there may be several."""

    def __init__(self, path: Path, service: Service) -> None:
        self._path = path
        self._service = service
        self._seen: Signature | None = None

    def look(self) -> None:
        signature = self._service.backend.signature
        if signature is None or signature is self._seen:
            return
        self._seen = signature
        try:
            bundled = json.loads(self._path.read_bytes())
            found = list(differences(bundled, document(signature)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            log.warning("%s cannot be read as an OpenAPI document. It is not needed: remove it.", NAME)
            return
        if found:
            log.warning(
                "%s is not of this model: %s. What the model itself says counts; a file of an earlier build is the usual "
                "cause: remove it, or build the image anew.",
                NAME,
                "; ".join(found),
            )


def differences(bundled: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[str]:
    """What one document says otherwise of the inputs than the other: their names and, where both say one, their types.

    Raises:
        KeyError, TypeError, AttributeError: `bundled` is no such document.
    """
    there, here = _inputs(bundled), _inputs(live)
    for name in sorted(there.keys() - here.keys()):
        yield f"the model has no input {name}"
    for name in sorted(here.keys() - there.keys()):
        yield f"it lacks the input {name}"
    for name in sorted(here.keys() & there.keys()):
        if "" not in (there[name], here[name]) and there[name] != here[name]:
            yield f"the input {name} is {_named(here[name])}, not {_named(there[name])}"


def _inputs(openapi: Mapping[str, Any]) -> dict[str, str]:
    """The type of each input by its name; an empty one where it has several."""
    schemas = openapi["components"]["schemas"]
    return {name: _type(each, schemas) for name, each in schemas["Input"].get("properties", {}).items()}


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    for reference in schema.get("allOf", []):
        schema = schemas[reference["$ref"].rpartition("/")[2]]
    kind: str = schema.get("type", "")
    return kind


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
