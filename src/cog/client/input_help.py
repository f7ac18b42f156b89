"""What a person is told of the inputs of a model: the rows of its help, and what a shell completes."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cog.client.input_schemas import Schema
from cog.client.input_words import choices, is_file, items, placeholder, words
from cog.outline.facts import Outline
from cog.signature.problems import printable

_SHOWN: Final = 60  # characters of a default


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    schema: Schema
    required: bool
    default: str | None = None
    description: str | None = None
    deprecated: bool = False
    annotation: str = ""


def render_help(
    inputs: Outline | Mapping[str, Schema], required: Collection[str] = ()
) -> list[tuple[str, str]]:
    """A row for each input: how it is written (`image=@FILE`), and what it is (`file, required. The image to blur`).

    `inputs` is the outline of a model, or the properties of a running one with the names that are `required`.
    """
    return [(f"{row.name}={_written(row.schema)}", _told(row)) for row in _rows(inputs, required)]


def complete_names(
    inputs: Outline | Mapping[str, Schema], incomplete: str, required: Collection[str] = ()
) -> list[tuple[str, str]]:
    """What a shell can write in the place of `incomplete` behind `-i`, each with a help text: names with their `=`,
    and behind that choices, true and false, and files."""
    name, equals, begun = incomplete.partition("=")
    found = list(_rows(inputs, required))
    if not equals:
        return [(f"{row.name}=", _told(row)) for row in found if row.name.startswith(name)]
    schema = next((row.schema for row in found if row.name == name), {})
    return [
        (f"{name}={text}", "") for text in _values(schema, begun) if text.startswith(begun) and text != begun
    ]


def _rows(inputs: Outline | Mapping[str, Schema], required: Collection[str]) -> Iterator[_Row]:
    if isinstance(inputs, Outline):
        for each in inputs.parameters:
            yield _Row(
                each.name, each.schema, each.required is True, each.default, each.description, each.deprecated,
                each.annotation,
            )  # fmt: skip
        return
    for name, schema in inputs.items():
        description = schema.get("description")
        yield _Row(
            name,
            schema,
            name in required,
            _default(schema.get("default")),
            description if isinstance(description, str) and description != "An enumeration." else None,
            schema.get("deprecated") is True,
        )


def _default(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)
    text = printable(" ".join(text.split()))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _written(schema: Schema) -> str:
    return f"{placeholder(schema)} ..." if schema.get("type") == "array" else placeholder(schema)


def _told(row: _Row) -> str:
    kind = words(row.schema)
    if kind == "anything" and row.annotation:
        kind = row.annotation
    facts = [kind]
    if row.required:
        facts.append("required")
    elif row.default is not None:
        facts.append(f"default: {row.default}")
    if row.deprecated:
        facts.append("deprecated")
    text = ", ".join(facts)
    return text if not row.description else f"{text}. {printable(' '.join(row.description.split()))}"


def _values(schema: Schema, begun: str) -> list[str]:
    inner = items(schema) if schema.get("type") == "array" else schema
    listed = choices(inner)
    if listed is not None:
        return [str(value) for value in listed]
    if inner.get("type") == "boolean":
        return ["true", "false"]
    if begun.startswith("@") or is_file(inner):
        return _files(begun.removeprefix("@"))
    return []


def _files(begun: str) -> list[str]:
    """The files and folders whose path begins so, each behind an @. Hidden ones are for who asks for them."""
    folder, name = os.path.split(begun)
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(name))
    except (OSError, ValueError):
        return []
    shown = [each for each in found if name or not each[0].startswith(".")]
    return [f"@{os.path.join(folder, each)}{'/' if is_folder else ''}" for each, is_folder in shown]
