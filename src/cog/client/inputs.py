"""The input of a prediction, from what was typed: `-i name=value` and `--json`.

The rules, by what the model says of the input:

- `@FILE` is the file's content as a data URL (for a `Path` of a model on this machine, its path); `@@` begins a text
  with an `@`. A JSON object may lie in a file: `-i settings=@settings.json`.
- A list is a JSON array, or the same name several times.
- `null` is null for everything that may be null except text, where it is four letters.
- Where several types are possible, or any, what is JSON and no string counts as that; everything else is text.

`build` is used twice: with what the source of the model says (`cog.outline`), before anything is started, and with
the document of the running model (`live_properties`), which knows everything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, Any, Final

from cog.client.input_checks import nearest, problems
from cog.client.input_files import Files, FilesAs, Reader, Wrong, data_url, located, unread
from cog.client.input_help import complete_names, render_help
from cog.client.input_schemas import Schema, live_properties
from cog.client.input_values import parsed, value
from cog.client.input_words import is_file, is_secret, placeholder
from cog.errors import InputError
from cog.signature.problems import MASK, printable

__all__ = [
    "FilesAs", "Reader", "Schema", "build", "check", "complete_names", "data_url", "from_json", "live_properties",
    "parse_items", "render_help", "unread",
]  # fmt: skip

_SHOWN: Final = 40  # characters of a value in the beginning of a message
_EXCERPT: Final = 76  # characters of a line of JSON
_LISTED: Final = 40  # names of inputs


def parse_items(items: Sequence[str]) -> dict[str, list[str]]:
    """The values of `name=value`, by name, in the order in which they were given. Double quotes around a value go.

    Raises:
        InputError: one has no `=`, or no name.
    """
    given: dict[str, list[str]] = {}
    wrong: list[str] = []
    for item in items:
        name, equals, text = item.partition("=")
        name = name.strip()
        if not equals or not name:
            wrong.append(f"-i {_cut(item)}: write NAME=VALUE, for example -i {_cut(name) or 'prompt'}=hello")
            continue
        quoted = len(text) > 1 and text[0] == text[-1] == '"'
        given.setdefault(name, []).append(text[1:-1] if quoted else text)
    if wrong:
        raise InputError(wrong)
    return given


def build(
    given: Mapping[str, Sequence[str]],
    properties: Mapping[str, Schema],
    required: Collection[str] = (),
    *,
    complete: bool,
    read_file: Reader = data_url,
    files_as: FilesAs = "data_url",
) -> dict[str, object]:
    """The input object that the texts in `given` mean, checked against the schemas in `properties`.

    `complete` says that other names are wrong. `read_file` makes the text of a file out of its absolute path; `unread`
    is for a check alone. With `files_as="path"` a model on this machine gets the path itself for a `Path`.

    Raises:
        InputError: something does not fit; each such thing is a line of its text.
    """
    files = Files(read_file, files_as == "path")
    values: dict[str, object] = {}
    wrong: list[str] = []
    for name, texts in given.items():
        if complete and name not in properties:
            wrong.append(f"-i {_cut(name)}: {_no_such(name, properties)}")
            continue
        schema = properties.get(name, {})
        try:
            made = value(name, texts, schema, files)
        except Wrong as error:
            wrong.append(f"{_label(name, texts, schema)}: {error}")
            continue
        label = _label(name, texts, schema)
        wrong += [f"{label}: {each}" for each in problems(schema, made, local_files=files.as_path)]
        values[name] = made
    wrong += [f"{problem}; write -i {name}={placeholder(properties.get(name, {}))}" for name, problem in
              _missing(given, required)]  # fmt: skip
    if wrong:
        raise InputError(wrong)
    return values


def check(
    values: Mapping[str, object],
    properties: Mapping[str, Schema],
    required: Collection[str] = (),
    *,
    complete: bool,
    files_as: FilesAs = "data_url",
) -> None:
    """Hold an input object, such as one of `from_json`, against the schemas of a model; the rest as in `build`.

    Raises:
        InputError: something does not fit.
    """
    wrong: list[str] = []
    for name, found in values.items():
        if complete and name not in properties:
            wrong.append(f"{_cut(name)}: {_no_such(name, properties)}")
            continue
        schema = properties.get(name, {})
        for problem in problems(schema, found, local_files=files_as == "path"):
            hint = (
                f'; to send a file, write "@{_cut(found)}"'
                if is_file(schema) and isinstance(found, str)
                else ""
            )
            wrong.append(f"{_cut(name)}: {problem}{hint}")
    wrong += [problem for _, problem in _missing(values, required)]
    if wrong:
        raise InputError(wrong)


def from_json(
    text: str,
    stdin: IO[Any],
    *,
    properties: Mapping[str, Schema] | None = None,
    read_file: Reader = data_url,
    files_as: FilesAs = "data_url",
) -> dict[str, object]:
    """The input object of `--json`: the JSON itself, `@FILE`, or `-` (or `@-`) for what comes in on `stdin`.

    A string at its top that begins with @ names a file, as in `build`. `properties` is needed for `files_as="path"`
    alone: it says which inputs are files.

    Raises:
        InputError: it cannot be read, is no JSON object, or names a file that is not there.
    """
    source, content = _content(text, stdin)
    try:
        found = parsed(content)
    except ValueError as error:
        raise InputError([f"--json: {source} is no JSON: {_explained(error, content, text)}"]) from error
    if not isinstance(found, dict):
        raise InputError(
            [
                f'--json: {source} is no JSON object. Write the inputs by name, for example {{"prompt": "hello"}}.'
            ]
        )
    files, wrong = Files(read_file, files_as == "path"), []
    for name, each in found.items():
        if isinstance(each, str) and each.startswith("@"):
            try:
                found[name] = _named(each, (properties or {}).get(name, {}), files)
            except Wrong as error:
                wrong.append(f"{_cut(name)}: {error}")
    if wrong:
        raise InputError(wrong)
    return found


def _named(text: str, schema: Schema, files: Files) -> str:
    if text.startswith("@@") and not is_file(schema):
        return text[1:]
    return files.take(text[1:], for_path=is_file(schema))


def _content(text: str, stdin: IO[Any]) -> tuple[str, str]:
    """Where the JSON comes from, for messages, and the JSON."""
    bare = text.strip()
    if not bare.startswith("@") and bare != "-":
        return "this", text
    try:
        if bare in ("-", "@-"):
            source, raw = "what came in on stdin", getattr(stdin, "buffer", stdin).read()
        else:
            path, _ = located(bare[1:])
            source = printable(path)
            with open(path, "rb") as file:
                raw = file.read()
        return source, raw if isinstance(raw, str) else raw.decode("utf-8-sig")
    except Wrong as error:
        raise InputError([f"--json {_cut(bare)}: {error}"]) from error
    except UnicodeDecodeError as error:
        raise InputError([f"--json {_cut(bare)}: it is not UTF-8. Save it in that encoding."]) from error
    except OSError as error:
        raise InputError([f"--json {_cut(bare)}: it cannot be read: {error.strerror}."]) from error


def _explained(error: ValueError, content: str, given: str) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return f"{error}."
    lines = content.splitlines() or [""]
    line = lines[min(error.lineno, len(lines)) - 1]
    start = max(0, error.colno - 1 - _EXCERPT // 2)
    excerpt = "".join(letter if letter.isprintable() else " " for letter in line[start : start + _EXCERPT])
    text = f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
    text += f"\n    {printable(excerpt)}\n    {' ' * (error.colno - 1 - start)}^"
    if content is given and os.path.isfile(given):
        text += f"\nTo read the file, write --json @{given}"
    return text


def _missing(given: Collection[str], required: Collection[str]) -> Iterator[tuple[str, str]]:
    for name in required:
        if name not in given:
            yield name, f"{name}: Field required"


def _no_such(name: str, properties: Mapping[str, Schema]) -> str:
    names = list(properties)
    if not names:
        return "the model has no inputs"
    listed = ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
    return f"the model has no such input.{nearest(name, names)} Its inputs: {listed}"


def _label(name: str, texts: Sequence[str], schema: Schema) -> str:
    """What was typed, as far as it may be shown."""
    if len(texts) != 1:
        return f"-i {_cut(name)}=..."
    return f"-i {_cut(name)}={MASK if is_secret(schema) else _cut(texts[0])}"


def _cut(text: str) -> str:
    """A text on one line, not too long."""
    head = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in head)
