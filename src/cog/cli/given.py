"""The input that was typed, held against what is known of the model: first its source, then the running one."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.client.input_checks import Unread, is_url
from cog.client.input_words import is_file, items
from cog.client.inputs import Schema, build, check, from_json, live_properties, parse_items, unread
from cog.errors import InputError
from cog.outline import reading
from cog.signature.problems import shown

Link = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Given:
    """What stands behind `-i`, by name, or behind `--json`; `stdin` is what came in there, if it was read."""

    items: Mapping[str, Sequence[str]]
    json: str | None
    stdin: bytes

    @classmethod
    def read(cls, items: Sequence[str], json: str | None) -> Given:
        """Take the options apart, and read stdin where `--json` says so.

        Raises:
            InputError: something behind `-i` is no NAME=VALUE.
        """
        wants_stdin = json is not None and json.strip() in ("-", "@-")
        return cls(parse_items(items), json, sys.stdin.buffer.read() if wants_stdin else b"")

    @property
    def as_json(self) -> bool:
        """Whether it was `--json`, which also asks for the whole response as JSON."""
        return self.json is not None

    def check(
        self, folder: Path, reference: str, python: tuple[int, int] | None, *, train: bool = False
    ) -> None:
        """Hold it against the source of the model in `folder`, which runs with the version `python` (None: this one).
        Files are looked for, not read.

        Raises:
            OutlineError: there is no such model.
            InputError: the model certainly refuses this.
        """
        outline = reading.read(folder, reference, train=train, python=python)
        known, required, complete = outline.properties, outline.required, outline.complete
        if self.json is None:
            build(self.items, known, required, complete=complete, read_file=unread, files_as="path")
        else:
            found = self._object(read_file=unread, properties=known)
            check(found, known, required, complete=complete, files_as="path")
            _check_paths(found, known)

    def fit(self, document: object, component: str, link: Link | None) -> dict[str, object]:
        """The input object for the model that `document` describes. A file goes as the path that `link` makes of its
        own, or, without it, as a data URL.

        Raises:
            InputError: the model refuses this.
        """
        known, required = live_properties(document, component)
        described = bool(document)
        if self.json is None:
            values = build(
                self.items,
                known,
                required,
                complete=described,
                files_as="data_url" if link is None else "path",
            )
        else:
            values = self._object(properties=known, files_as="data_url" if link is None else "path")
            check(
                values,
                known,
                required,
                complete=described,
                files_as="data_url" if link is None else "path",
            )
        if link is None:
            return values
        _check_paths(values, known)
        return {name: _linked(value, known.get(name, {}), link) for name, value in values.items()}

    def _object(self, **how: Any) -> dict[str, object]:
        assert self.json is not None
        return from_json(self.json, io.BytesIO(self.stdin), **how)


def _check_paths(values: Mapping[str, object], known: Mapping[str, Schema]) -> None:
    """A path that is not absolute would be one in the model's folder, where whoever has typed it need not be.

    Raises:
        InputError: there are such.
    """
    wrong = []
    for name, value in values.items():
        schema = known.get(name, {})
        for text in _files(value, schema):
            if isinstance(text, Unread) or os.path.isabs(text) or is_url(text):
                continue
            how = f'write "@{text}"' if value is text else f"write its absolute path, or -i {name}=@FILE"
            wrong.append(f"{name}: {shown(text)} is no http, https or data URL; to send a file, {how}")
    if wrong:
        raise InputError(wrong)


def _files(value: object, schema: Schema) -> Iterator[str]:
    """What stands where the model takes a file."""
    if isinstance(value, list):
        for each in value:
            yield from _files(each, items(schema))
    elif isinstance(value, str) and is_file(schema):
        yield value


def _linked(value: object, schema: Schema, link: Link) -> object:
    """`value` with the link to it in the place of each path."""
    if isinstance(value, list):
        return [_linked(each, items(schema), link) for each in value]
    if not isinstance(value, str) or not is_file(schema) or not os.path.isabs(value):
        return value
    return link(value)


class Links:
    """Links to input files. A model that removes or renames its input, as those do that expect a temporary file, does
    not harm the file itself."""

    def __init__(self, folder: str) -> None:
        """They go into `folder`, and with it."""
        self._folder = folder
        self._count = 0

    def make(self, path: str) -> str:
        """A link to `path`, of the same name."""
        place = os.path.join(self._folder, str(self._count))
        self._count += 1
        os.mkdir(place)
        link = os.path.join(place, os.path.basename(path))
        os.symlink(path, link)
        return link
