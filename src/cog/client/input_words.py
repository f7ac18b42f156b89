"""The schema of an input in words that people know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cog.client.input_schemas import Schema
from cog.signature.choices import Scalar, is_scalar
from cog.signature.problems import printable

_PLURALS: Final = {
    "text": "texts",
    "whole number": "whole numbers",
    "number": "numbers",
    "file": "files",
    "secret": "secrets",
    "date": "dates",
}
_FORMATS: Final = {
    "date": "date", "date-time": "date and time", "time": "time", "duration": "duration", "decimal": "exact number",
    "uuid": "UUID",
}  # fmt: skip
_CHOICES: Final = 12  # choices that are listed; more are counted


def variants(schema: Schema) -> list[Schema]:
    """What a union is made of; empty for everything else."""
    found = schema.get("anyOf")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, (list, tuple)) else []


def choices(schema: Schema) -> list[Scalar] | None:
    """The only values that are accepted, without null; None when there are others."""
    found = schema.get("enum")
    if not isinstance(found, (list, tuple)):
        return None
    return [value for value in found if is_scalar(value)]


def items(schema: Schema, index: int | None = None) -> Schema:
    """What is accepted as an item of a list; as the one at `index`, where each place has a type of its own."""
    placed = schema.get("x-cog-items")
    if index is not None and isinstance(placed, (list, tuple)) and index < len(placed):
        return placed[index] if isinstance(placed[index], dict) else {}
    found = schema.get("items")
    return found if isinstance(found, dict) else {}


def member(schema: Schema, name: str) -> Schema:
    """What is accepted as the member `name` of an object."""
    members = schema.get("properties")
    found = members.get(name) if isinstance(members, dict) else None
    return found if isinstance(found, dict) else {}


def is_file(schema: Schema) -> bool:
    """Whether it is the content of a file that is wanted."""
    return schema.get("type") == "string" and schema.get("format") == "uri"


def is_secret(schema: Schema) -> bool:
    """Whether what was given must not be shown."""
    inside = schema.get("type") == "array" and is_secret(items(schema))
    return inside or schema.get("format") == "password" or bool(schema.get("x-cog-secret"))


def words(schema: Schema) -> str:
    """`text`, `whole number 1 to 5`, `one of: a, b`, `list of files`..."""
    listed = choices(schema)
    if listed is not None:
        return f"one of: {enumerated(listed)}"
    if parts := variants(schema):
        return " or ".join(dict.fromkeys(words(part) for part in parts))
    match schema.get("type"):
        case "array":
            if "x-cog-items" in schema:
                return f"list of {_counted(schema)}: " + ", ".join(
                    words(items(schema, at)) for at in range(_most(schema))
                )
            inner = words(items(schema))
            return "list" if inner == "anything" else f"list of {_PLURALS.get(inner, inner)}"
        case "string" if is_file(schema):
            return "file"
        case "string" if schema.get("format") in _FORMATS:
            return _FORMATS[str(schema["format"])]
        case "string":
            return "secret" if is_secret(schema) else f"text{_length(schema)}"
        case "integer":
            return f"whole number{_range(schema)}"
        case "number":
            return f"number{_range(schema)}"
        case "boolean":
            return "true or false"
        case "object":
            return "JSON object"
        case _:
            return "anything"


def placeholder(schema: Schema) -> str:
    """What stands for a value: `TEXT`, `@FILE`, `N`."""
    if choices(schema) is not None:
        return "CHOICE"
    match schema.get("type"):
        case "array":
            return placeholder(items(schema))
        case "string" if is_file(schema):
            return "@FILE"
        case "string" if schema.get("format") in _FORMATS:
            return str(schema["format"]).replace("-", "").upper()
        case "string":
            return "SECRET" if is_secret(schema) else "TEXT"
        case "integer" | "number":
            return "N"
        case "boolean":
            return "true|false"
        case "object":
            return "JSON"
        case _:
            return "VALUE"


def enumerated(listed: Sequence[Scalar]) -> str:
    """The choices, or the first of very many."""
    text = ", ".join(map(_choice, listed[:_CHOICES]))
    return f"{text} and {len(listed) - _CHOICES:,} more" if len(listed) > _CHOICES else text


def _choice(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value)) if value != "" else '""'


def _most(schema: Schema) -> int:
    placed = schema.get("x-cog-items")
    return len(placed) if isinstance(placed, (list, tuple)) else 0


def _counted(schema: Schema) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    return f"{high}" if low == high else f"{low} to {high}"


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return "" if high is None else f", up to {high}"


def _length(schema: Schema) -> str:
    low, high = schema.get("minLength"), schema.get("maxLength")
    if low is not None and high is not None:
        return f" of {low} to {high} characters"
    if low is not None:
        return f" of {low} or more characters" if low != 1 else ", not empty"
    return "" if high is None else f" of up to {high} characters"
