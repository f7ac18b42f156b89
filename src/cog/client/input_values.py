"""From the texts of a command line to the values that a schema asks for.

A text that is not of the type asked for stays as it is: `input_checks` then says what is wrong with it.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NoReturn

from cog.client.input_checks import is_url, problems
from cog.client.input_files import Files, Wrong, located
from cog.client.input_schemas import Schema
from cog.client.input_words import choices, is_file, items, member, variants, words
from cog.signature.choices import Scalar
from cog.signature.formats import RULES
from cog.signature.problems import printable

_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_EXACT: Final = 2.0**53  # above it a float no longer tells whole numbers apart


def value(name: str, texts: Sequence[str], schema: Schema, files: Files) -> object:
    """What the texts given for the input `name` mean: one, or several for a list.

    Raises:
        Wrong: nothing can be made of them.
    """
    if len(texts) == 1:
        return _Reading(name, files).one(texts[0], schema)
    for part in [schema, *variants(schema)]:
        if part.get("type") == "array":
            return [_Reading(name, files).one(text, items(part, at)) for at, text in enumerate(texts)]
    if any(map(_is_open, [schema, *variants(schema)])):
        return [_Reading(name, files).one(text, {}) for text in texts]
    raise Wrong(f"it was given {len(texts)} times, but takes one value: {words(schema)}")


def parsed(text: str) -> object:
    """JSON as the standard has it: no NaN, no number that a 64-bit float cannot hold.

    Raises:
        ValueError: it is none; a JSONDecodeError where the place is known.
    """
    try:
        return json.loads(text, parse_constant=_no_json, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is out of range: numbers go up to about 1.8e308")
    return number


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:  # sys.set_int_max_str_digits: the server has the same bound
        raise ValueError(
            f"a number of {len(text):,} digits is too long: Python reads at most 4,300"
        ) from error


class _Reading:
    def __init__(self, name: str, files: Files) -> None:
        self.name, self.files = name, files

    def one(self, text: str, schema: Schema) -> object:
        if text == "null" and schema.get("nullable") is True and not _is_textual(schema):
            return None
        listed = choices(schema)
        if listed is not None:
            text = self._text(text, {}) if text.startswith("@") else text
            return next(
                (each for each in sorted(listed, key=_is_text, reverse=True) if _means(text, each)), text
            )
        if variants(schema):
            return self._union(text, schema)
        match schema.get("type"):
            case "string":
                return self._text(text, schema)
            case "integer":
                return _whole(text)
            case "number":
                return _number(text)
            case "boolean":
                return {"true": True, "false": False}.get(text.strip().lower(), text)
            case "array":
                return self._list(text, schema)
            case "object":
                return self._object(text, schema)
            case _:
                return self._anything(text)

    def _text(self, text: str, schema: Schema) -> str:
        if text.startswith("@@") and not is_file(schema):
            return _utf8(text[1:])
        if text.startswith("@"):
            return self.files.take(text[1:], for_path=is_file(schema))
        if is_file(schema) and not is_url(text):
            raise Wrong(self._no_url(text))
        return _utf8(text)

    def _no_url(self, text: str) -> str:
        path = os.path.expanduser(text)
        if os.path.isfile(path):
            return f"to send the file, write -i {self.name}=@{text}"
        return f"a file is wanted: write -i {self.name}=@FILE, or a URL that begins with https:// or data:"

    def _union(self, text: str, schema: Schema) -> object:
        """The first type that fits; a file, and then any text, last: 5 is a number where both are accepted."""
        parts = sorted(variants(schema), key=_lateness)
        textual = any(map(_is_textual, parts))
        # A path and a text look the same to the server: beside texts the file itself is sent.
        files = replace(self.files, as_path=False) if textual else self.files
        wrong: Wrong | None = None
        for part in parts:
            if is_file(part) and textual and not text.startswith("@") and not is_url(text):
                continue
            try:
                made = _Reading(self.name, files).one(text, part)
            except Wrong as error:
                wrong = error
                continue
            if not any(problems(part, made, local_files=files.as_path)):
                return made
        if wrong is not None and parts[-1].get("type") == "string":  # it says why
            raise wrong
        return text

    def _list(self, text: str, schema: Schema) -> object:
        """A JSON array, or a single item."""
        inner = items(schema)
        try:
            found = parsed(text) if text.lstrip().startswith("[") else None
        except ValueError as error:
            if not (_is_textual(inner) or _is_open(inner)):
                raise Wrong(f"it is no JSON array: {_told(error)}") from error
            found = None
        if not isinstance(found, list):
            return [self.one(text, items(schema, 0))]
        if inner.get("type") == "array" and any(any(problems(inner, item)) for item in found):
            return [found]
        return self._filled(found, schema)

    def _filled(self, found: object, schema: Schema) -> object:
        """JSON with the files that it names, where the schema asks for files."""
        match found:
            case str() if is_file(schema):
                return self._text(found, schema)
            case list():
                return [self._filled(item, items(schema, at)) for at, item in enumerate(found)]
            case dict():
                return {name: self._filled(item, member(schema, name)) for name, item in found.items()}
            case _:
                return found

    def _object(self, text: str, schema: Schema) -> object:
        """A JSON object, or the file that holds one."""
        if text.startswith("@"):
            text = self._content(text[1:])
        try:
            return self._filled(parsed(text), schema)
        except ValueError as error:
            raise Wrong(f'it is no JSON object such as {{"a": 1}}: {_told(error)}') from error

    def _content(self, name: str) -> str:
        path, _ = located(name)
        try:
            with open(path, encoding="utf-8-sig") as file:
                return file.read()
        except (OSError, ValueError) as error:
            raise Wrong(f"{printable(path)} cannot be read as text: {error}") from error

    def _anything(self, text: str) -> object:
        """JSON where it is more than a string, else the text."""
        if text.startswith("@"):
            return self._text(text, {})
        try:
            found = parsed(text)
        except ValueError:
            return _utf8(text)
        return _utf8(text) if isinstance(found, str) else found


def _is_textual(schema: Schema) -> bool:
    """Whether any text fits, as far as its type goes."""
    listed = choices(schema)
    if listed is not None:
        return "null" in listed
    if parts := variants(schema):
        return any(map(_is_textual, parts))
    return schema.get("type") == "string" and not is_file(schema) and schema.get("format") not in RULES


def _is_open(schema: Schema) -> bool:
    """Whether nothing is said of the type."""
    return not schema.keys() & {"type", "enum", "anyOf"}


def _lateness(schema: Schema) -> int:
    if is_file(schema):
        return 1
    return 3 if _is_open(schema) else 2 if schema.get("type") == "string" and "format" not in schema else 0


def _is_text(choice: Scalar) -> bool:
    return isinstance(choice, str)


def _means(text: str, choice: Scalar) -> bool:
    if isinstance(choice, str):
        return text == choice
    if isinstance(choice, bool):
        return text.strip().lower() == ("true" if choice else "false")
    return _number(text) == choice if isinstance(choice, float) else _whole(text) == choice


def _whole(text: str) -> object:
    bare = text.strip()
    if _WHOLE.fullmatch(bare) is None:
        number = _number(bare)
        if isinstance(number, float) and number.is_integer() and abs(number) <= _EXACT:
            return int(number)
        return number if isinstance(number, float) else text
    return _digits(bare)


def _number(text: str) -> object:
    bare = text.strip()
    if _WHOLE.fullmatch(bare) is not None:
        return _digits(bare)
    if _NUMBER.fullmatch(bare) is None:
        return text
    try:
        return _float(bare)
    except ValueError as error:
        raise Wrong(str(error)) from error


def _digits(text: str) -> int:
    try:
        return _int(text)
    except ValueError as error:
        raise Wrong(str(error)) from error


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Wrong("it holds bytes that are not UTF-8. Send them as a file: @FILE") from error
    return text


def _told(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} at column {error.colno}"
    return str(error)
