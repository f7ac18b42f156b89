"""What becomes of an output: text for people, files, or JSON, by what the model says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from cog.client import files
from cog.client.interface import Interface
from cog.client.target import Target, writing

NO_OUTPUT: Final = "No output generated"


class Results(Protocol):
    """Where results go that no file was asked for."""

    def write(self, text: str) -> None:
        """Write it now, as it is."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Who is told what a person should know: what was `saved`, and what there is to `warn` of."""

    saved: Callable[[Path], None]
    warn: Callable[[str], None]


class Delivery:
    """Delivers one output, piece by piece where it comes so.

    A text, also one that comes in pieces, goes to the results as it is; files become files; everything else is
    JSON. What would go to the results goes into a file where one was asked for.
    """

    def __init__(
        self, interface: Interface, target: Target, results: Results, teller: Teller, *, whole: bool = False
    ) -> None:
        """With `whole` nothing is delivered but the response as a whole, by `respond()`."""
        self._interface = interface
        self._target = target
        self._files = _beside_json(target) if whole else target
        self._whole = whole
        self._results = results
        self._teller = teller
        schema = interface.resolve(interface.output)
        self._item = interface.resolve(schema.get("items"))
        self._comes_in_pieces = schema.get("x-cog-array-type") == "iterator"
        self._text = schema.get("x-cog-array-display") == "concatenate"
        self._schema = schema
        self._taken = 0  # pieces that were delivered
        self._kept: list[str] = []  # pieces of a text that goes into a file

    def take(self, index: int, value: object) -> None:
        """Deliver one piece, where that can be done before the end. Pieces come in order.

        Raises:
            UnsavedOutput: a file cannot be written.
        """
        if index != self._taken or not self._comes_in_pieces or self._whole:
            return
        if self._text:
            text = value if isinstance(value, str) else _plain(value)
            if self._to_file:
                self._kept.append(text)
            else:
                self._results.write(text)
        elif files.is_file(self._item, value):
            self._save(str(value), (index,))
        else:
            return
        self._taken += 1

    def finish(self, output: object) -> None:
        """Deliver the whole output, or what of it is missing yet.

        Raises:
            UnsavedOutput: a file cannot be written.
        """
        if output is None:
            self._teller.warn(NO_OUTPUT)
        elif self._text and isinstance(output, list):
            for index in range(self._taken, len(output)):
                self.take(index, output[index])
            if self._to_file:
                self._put_text("".join(self._kept))
        elif isinstance(output, list) and output and self._all_files(output):
            for index in range(self._taken, len(output)):
                self._save(output[index], (index,))
        elif files.is_file(self._schema, output):
            self._save(str(output), ())
        elif isinstance(output, str):
            self._put_text(output)
        else:
            self._put_json(self.localize(output))

    def respond(self, prediction: Mapping[str, Any]) -> None:
        """Deliver the response as a whole, as JSON; files become files and their paths stand in it.

        Raises:
            UnsavedOutput: a file cannot be written.
        """
        if self._target.given and self._target.suffix != ".json":
            self._teller.warn(f"-o {self._target.whole('').name} gets JSON, but is not called .json")
        shown = {name: prediction.get(name) for name in ("status", "output", "error", "metrics")}
        shown["output"] = self.localize(shown["output"])
        self._put_json(shown)

    def localize(self, output: object) -> object:
        """`output` with the path of a written file wherever a file was."""
        return self._localize(output, self._schema, ())

    @property
    def _to_file(self) -> bool:
        return self._target.chosen

    def _all_files(self, output: Sequence[object]) -> bool:
        schema = self._item if self._schema.get("type") == "array" else self._schema
        return all(files.is_file(schema, value) for value in output)

    def _localize(self, value: object, schema: Mapping[str, Any], parts: tuple[str | int, ...]) -> object:
        if files.is_file(schema, value):
            return str(self._save(str(value), parts))
        if isinstance(value, list):
            items = self._interface.resolve(schema.get("items"))
            return [self._localize(item, items, (*parts, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            properties = schema.get("properties")
            known = properties if isinstance(properties, dict) else {}
            others = schema.get("additionalProperties")
            return {
                name: self._localize(item, self._interface.resolve(known.get(name, others)), (*parts, name))
                for name, item in value.items()
            }
        return value

    def _save(self, url: str, parts: tuple[str | int, ...]) -> Path:
        path = files.save(url, self._files, parts)
        self._teller.saved(path)
        return path

    def _put_text(self, text: str) -> None:
        self._put(text, ".txt")

    def _put_json(self, value: object) -> None:
        self._put(_plain(value) + "\n", ".json")

    def _put(self, text: str, suffix: str) -> None:
        if not self._to_file:
            self._results.write(text)
            return
        path = self._target.whole(suffix)
        with writing(path) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        self._teller.saved(path)


def _beside_json(target: Target) -> Target:
    """Where files go whose paths stand in a JSON file at `target`."""
    if not target.given:
        return target
    stem = target.stem if target.suffix == ".json" else f"{target.stem}.output"
    return Target(target.folder, stem, None, given=True)


def _plain(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
