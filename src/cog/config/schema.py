"""cog.yaml as a JSON Schema (draft 7, which editors know best), made from the table of keys.

It never refuses what the parser accepts. The parser refuses more: what a schema cannot say, such as a name given twice.
"""

from __future__ import annotations

import json
from typing import Any

from cog.config.keys import CHILDREN, EXCLUSIONS, Key
from cog.config.reader import MAX_COUNT


def document() -> dict[str, Any]:
    """The whole schema."""
    weights = {"required": ["weights"], "properties": {"weights": {"type": "array", "minItems": 1}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "cog.yaml",
        "description": "What a model is and what it needs around it.",
        **_keys("", nullable=True),
        "if": weights,
        "then": {"required": ["model"], "properties": {"model": {"type": "string"}}},
    }


def text() -> str:
    """The schema as it is published."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _key(key: Key) -> dict[str, Any]:
    """One key: what it says to people, and what may stand there."""
    said: dict[str, Any] = {"description": _description(key)}
    if key.instead is not None:
        said |= {"deprecated": True, "deprecationMessage": f'Use "{key.instead}" instead.'}
    return said | _value(key)


def _description(key: Key) -> str:
    parts = [key.help, key.rule.words if key.rule is not None else ""]
    parts.append(f"Default: {key.default}." if key.default else "")
    parts.append(f"For example: {key.example}" if key.example else "")
    return " ".join(filter(None, parts)).replace("`", "")


def _value(key: Key) -> dict[str, Any]:
    limits = dict(key.rule.limits) if key.rule is not None else {}
    nothing = [] if key.required else ["null"]
    match key.kind:
        case "text":
            if "enum" in limits:
                return {"enum": [*limits["enum"], *([] if key.required else [None])]}  # type: ignore[misc]
            return {"type": ["string", *nothing], **limits}
        case "text or number":
            return {"type": ["string", "number", *nothing], **limits}
        case "true or false":
            return {"type": ["boolean", *nothing]}
        case "whole number":
            return {"type": ["integer", *nothing], "minimum": 1, "maximum": MAX_COUNT}
        case "keys":
            return _keys(key.path, nullable=not key.required)
        case "list of texts":
            return {"type": ["array", *nothing], "items": {"type": "string", **limits}}
        case "list of keys":
            return {"type": ["array", *nothing], "items": _keys(key.path, nullable=False)}
        case "list of texts or keys":
            either = [{"type": "string", **limits}, _keys(key.path, nullable=False)]
            return {"type": ["array", *nothing], "items": {"anyOf": either}}
        case "keys, or a list of them":
            one = _keys(key.path, nullable=not key.required)
            return {
                "anyOf": [one, {"type": "array", "minItems": 1, "items": _keys(key.path, nullable=False)}]
            }


def _keys(path: str, *, nullable: bool) -> dict[str, Any]:
    """A mapping of the keys at `path`."""
    known = CHILDREN[path]
    schema: dict[str, Any] = {
        "type": ["object", "null"] if nullable else "object",
        "additionalProperties": False,
        "properties": {name: _key(key) for name, key in known.items()},
    }
    if required := [name for name, key in known.items() if key.required]:
        schema["required"] = required
    both = [[rule.one, rule.other] for rule in EXCLUSIONS if rule.parent == path]
    if both:
        schema["allOf"] = [{"not": _given(names)} for names in both]
    return schema


def _given(names: list[str]) -> dict[str, Any]:
    """That all of `names` are there, with a value that is not null."""
    return {
        "type": "object",
        "required": names,
        "properties": {name: {"not": {"type": "null"}} for name in names},
    }
