"""The input that was typed, held against what is known of the model: first its source, then the running one."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cog.client.input_words import is_file, items
from cog.client.inputs import Schema, build, check, from_json, live_properties, parse_items, unread
from cog.outline import reading

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

    def check(self, folder: Path, reference: str, python: tuple[int, int] | None) -> None:
        """Hold it against the source of the model in `folder`, which runs with the version `python` (None: this one).
        Files are looked for, not read.

        Raises:
            OutlineError: there is no such model.
            InputError: the model certainly refuses this.
        """
        outline = reading.read(folder, reference, python=python)
        known, required, complete = outline.properties, outline.required, outline.complete
        if self.json is None:
            build(self.items, known, required, complete=complete, read_file=unread, files_as="path")
        else:
            found = self._object(read_file=unread)
            check(found, known, required, complete=complete, files_as="path")

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
            as_path: dict[str, Any] = {} if link is None else {"properties": known, "files_as": "path"}
            values = self._object(**as_path)
            check(
                values,
                known,
                required,
                complete=described,
                files_as="data_url" if link is None else "path",
            )
        if link is None:
            return values
        return {name: _linked(value, known.get(name, {}), link) for name, value in values.items()}

    def _object(self, **how: Any) -> dict[str, object]:
        assert self.json is not None
        return from_json(self.json, io.BytesIO(self.stdin), **how)


def _linked(value: object, schema: Schema, link: Link) -> object:
    """`value` with the link to it in the place of each path."""
    if isinstance(value, list):
        return [_linked(each, items(schema), link) for each in value]
    if not isinstance(value, str) or not is_file(schema) or not os.path.isabs(value):
        return value
    return link(value)


class Links:
    """A folder with links to input files. A model that removes or renames its input, as those do that expect a
    temporary file, does not harm the file itself."""

    def __init__(self) -> None:
        """It is made with the first link."""
        self._folder: str | None = None
        self._count = 0

    def make(self, path: str) -> str:
        """A link to `path`, of the same name."""
        import tempfile  # here: most inputs are no files

        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="cog-inputs-")
        place = os.path.join(self._folder, str(self._count))
        self._count += 1
        os.mkdir(place)
        link = os.path.join(place, os.path.basename(path))
        os.symlink(path, link)
        return link

    def remove(self) -> None:
        """Remove the folder with all links."""
        if self._folder is not None:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def links() -> Iterator[Links]:
    """Links that are gone after the block."""
    made = Links()
    try:
        yield made
    finally:
        made.remove()
