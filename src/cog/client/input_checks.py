"""What is wrong with a value, by the JSON Schema of an input. The same judgement as the server's, in words for the
person who typed it; where a schema is not understood nothing is said, since the server has the last word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from cog.client.input_schemas import Schema
from cog.client.input_words import choices, enumerated, is_file, is_secret, items, variants, words
from cog.signature.choices import chosen
from cog.signature.formats import fault
from cog.signature.problems import MASK, printable, shown

_SHOWN: Final = 60  # characters of a value: it may be a photograph
_ALL: Final = 20  # problems of one list


class Unread(str):
    """The place of a file's content that was not read: whatever fits a text fits it."""

    __slots__ = ()


def problems(schema: Schema, value: object, *, local_files: bool = False) -> Iterator[str]:
    """Everything that is wrong with `value`, each as a text that begins with it.

    With `local_files` a file may be a path in the place of a URL.
    """
    if value is None:
        if not _takes_null(schema):
            yield f"null is not {_article(words(schema))}"
    elif "enum" in schema:
        yield from _choice(schema, value)
    elif parts := variants(schema):
        if all(any(problems(part, value, local_files=local_files)) for part in parts):
            yield f"{_value(schema, value)} is not {_article(words(schema))}"
    elif schema.get("type") == "array":
        yield from _items(schema, value, local_files=local_files)
    else:
        yield from _single(schema, value, local_files=local_files)


def _takes_null(schema: Schema) -> bool:
    listed = schema.get("enum")
    return (
        schema.get("nullable") is True
        or not any(key in schema for key in ("type", "enum", "anyOf"))
        or (isinstance(listed, list) and None in listed)
        or any(_takes_null(part) for part in variants(schema))
    )


def _article(text: str) -> str:
    return text if text[:6] in ("one of", "anythi", "true o") else f"a {text}"


def _value(schema: Schema, value: object) -> str:
    return shown(MASK if is_secret(schema) else value, limit=_SHOWN)


def _choice(schema: Schema, value: object) -> Iterator[str]:
    listed = choices(schema) or []
    if isinstance(value, Unread) or chosen(listed, value) is not None:
        return
    near = (
        nearest(value, [each for each in listed if isinstance(each, str)]) if isinstance(value, str) else ""
    )
    yield f"{_value(schema, value)} is not one of: {enumerated(listed)}.{near}".removesuffix(".")


def _items(schema: Schema, value: object, *, local_files: bool) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{_value(schema, value)} is not a {words(schema)}"
        return
    low, high = schema.get("minItems"), schema.get("maxItems")
    if isinstance(low, int) and len(value) < low:
        yield f"{len(value)} items are too few: at least {low} are wanted"
    if isinstance(high, int) and len(value) > high:
        yield f"{len(value)} items are too many: at most {high} are wanted"
    found = 0
    for index, item in enumerate(value):
        for problem in problems(items(schema, index), item, local_files=local_files):
            found += 1
            if found > _ALL:
                yield "more items are wrong"
                return
            yield f"item {index + 1}: {problem}"


def _single(schema: Schema, value: object, *, local_files: bool) -> Iterator[str]:
    complaint: str | None = None
    match schema.get("type"):
        case "integer":
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            complaint = "is no whole number" if isinstance(value, bool) or not whole else None
        case "number":
            complaint = _no_number(value)
        case "boolean":
            complaint = None if isinstance(value, bool) else "is neither true nor false"
        case "string":
            complaint = _no_text(schema, value, local_files=local_files)
        case "object":
            complaint = None if isinstance(value, dict) else "is no JSON object"
        case _:
            pass
    for each in [complaint] if complaint is not None else _limits(schema, value):
        yield f"{_value(schema, value)} {each}"


def _no_number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "is no number"
    try:
        return None if math.isfinite(float(value)) else "is no finite number"
    except OverflowError:
        return "is out of range: numbers go up to about 1.8e308"


def _no_text(schema: Schema, value: object, *, local_files: bool) -> str | None:
    if not isinstance(value, str):
        return "is no text" if not is_file(schema) else "is no URL of a file"
    if not is_file(schema) or local_files or isinstance(value, Unread) or is_url(value):
        form = schema.get("format")
        return fault(form, value) if isinstance(form, str) and not isinstance(value, Unread) else None
    return "is no http, https or data URL"


def is_url(text: str) -> bool:
    """Whether a server can get a file from it."""
    return text[:8].lower().startswith(("http://", "https://", "data:"))


def _limits(schema: Schema, value: object) -> Iterator[str]:
    if isinstance(value, Unread):
        return
    if isinstance(value, str):
        yield from _text_limits(schema, value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value) if schema.get("type") == "number" else value  # what the model will see
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, (int, float)) and number < low:
            yield f"is less than the minimum of {low}"
        if isinstance(high, (int, float)) and number > high:
            yield f"is greater than the maximum of {high}"


def _text_limits(schema: Schema, value: str) -> Iterator[str]:
    low, high, pattern = schema.get("minLength"), schema.get("maxLength"), schema.get("pattern")
    if isinstance(low, int) and len(value) < low:
        yield f"is shorter than {low} character{'' if low == 1 else 's'}"
    if isinstance(high, int) and len(value) > high:
        yield f"is longer than {high} character{'' if high == 1 else 's'}"
    if isinstance(pattern, str):
        try:
            fits = re.search(pattern, value) is not None
        except (re.error, OverflowError, RecursionError):  # of another dialect: the server decides
            return
        if not fits:
            yield f'does not match "{printable(pattern)}"'


def nearest(wanted: str, names: list[str]) -> str:
    """` Did you mean X?`, or nothing when no name is like the one that was written."""
    import difflib  # here: it takes milliseconds, and only a mistake needs it

    found = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    if not found:  # cut short, or in other letters
        found = [
            name for name in names if name.lower() == wanted.lower() or (wanted and name.startswith(wanted))
        ]
    return f" Did you mean {printable(found[0])}?" if found else ""
