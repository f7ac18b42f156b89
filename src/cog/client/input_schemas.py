"""The inputs of a running model, out of its OpenAPI document: this server's, or the one of an older Cog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Schema: TypeAlias = Mapping[str, object]

_DEPTH: Final = 20  # references within each other; a document can refer to itself


def live_properties(document: object, component: str = "Input") -> tuple[dict[str, Schema], tuple[str, ...]]:
    """The inputs by name, in the order of the model, and the names of those that are required.

    Each is a schema without references: choices stand in it as `enum`, and null is `nullable`. What the document does
    not say, or says in a way that makes no sense, counts as anything.
    """
    schemas = _inside(_inside(document, "components"), "schemas")
    found = _plain(schemas.get(component), schemas, 0)
    listed = _inside(found, "properties")
    properties: dict[str, Schema] = {
        name: _plain(listed[name], schemas, 0) for name in sorted(listed, key=lambda n: _order(listed[n]))
    }
    required = found.get("required")
    names = required if isinstance(required, (list, tuple)) else ()
    return properties, tuple(name for name in names if isinstance(name, str))


def _inside(found: object, name: str) -> dict[str, object]:
    inner = found.get(name) if isinstance(found, Mapping) else None
    return {str(key): value for key, value in inner.items()} if isinstance(inner, Mapping) else {}


def _order(schema: object) -> float:
    order = schema.get("x-order") if isinstance(schema, Mapping) else None
    return order if isinstance(order, (int, float)) else 0


def _plain(schema: object, schemas: Schema, depth: int) -> dict[str, object]:
    """A schema without `$ref`, `allOf` and `oneOf`, and with null as `nullable` alone."""
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return {}
    made = {str(key): value for key, value in schema.items()}
    merged: dict[str, object] = {}
    reference = made.pop("$ref", None)
    if isinstance(reference, str):
        merged |= _plain(schemas.get(reference.rpartition("/")[2]), schemas, depth + 1)
    for part in _listed(made.pop("allOf", None)):
        merged |= _plain(part, schemas, depth + 1)
    if "oneOf" in made:
        made["anyOf"] = made.pop("oneOf")
    made = merged | made
    if "items" in made:
        made["items"] = _plain(made["items"], schemas, depth + 1)
    if "anyOf" in made:
        made = _variants(made, [_plain(part, schemas, depth + 1) for part in _listed(made["anyOf"])])
    return _typed(made)


def _listed(found: object) -> list[object]:
    return list(found) if isinstance(found, (list, tuple)) else []


def _variants(schema: dict[str, object], variants: list[dict[str, object]]) -> dict[str, object]:
    """A union; one that is a single type beside null is that type."""
    others = [variant for variant in variants if variant.get("type") != "null"]
    if len(others) < len(variants):
        schema["nullable"] = True
    if len(others) == 1:
        del schema["anyOf"]
        return others[0] | schema
    schema["anyOf"] = others
    return schema


def _typed(schema: dict[str, object]) -> dict[str, object]:
    """`type` as one name; several, as newer documents may have, are a union."""
    types = schema.get("type")
    if not isinstance(types, (list, tuple)):
        return schema
    named = [each for each in types if each != "null"]
    nullable = {"nullable": True} if len(named) < len(types) else {}
    rest = {key: value for key, value in schema.items() if key != "type"} | nullable
    return rest | (
        {"type": named[0]} if len(named) == 1 else {"anyOf": [rest | {"type": each} for each in named]}
    )
