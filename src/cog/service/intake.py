"""The door for inputs: checked once, told apart into what the model gets, what clients may see, and the files
that have to be fetched first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, cast

from cog.errors import InvalidRequest, Problem
from cog.files.data_url import DataUrl, DataUrlError, is_data_url, parse, shorten
from cog.schema.validate import Validator
from cog.signature.facts import Parameter, Signature
from cog.signature.kinds import File, SecretText

# In what clients see of an input, longer data URLs are cut to their media type and size. From the contract.
SHOWN: Final = 4096
MASK: Final = "**********"


@dataclass(slots=True, eq=False)
class InputFile:
    """A file of an input. `path` is filled in when it lies in the prediction's folder."""

    source: str | DataUrl
    path: str = ""


@dataclass(frozen=True, slots=True)
class Intake:
    """A checked input. `public` is the JSON text that clients may see."""

    public: bytes
    files: tuple[InputFile, ...]
    _content: bytes | dict[str, object]

    def payload(self) -> bytes:
        """The JSON text for the model; its files must have their paths by now."""
        if isinstance(self._content, bytes):
            return self._content
        return _json(self._content)


class Door:
    """Takes inputs of one model."""

    def __init__(self, signature: Signature, *, local_files: bool = False) -> None:
        self._validator = Validator(signature, local_files=local_files)
        self._local_files = local_files
        self._parameters = {parameter.name: parameter for parameter in signature.parameters}
        self._leafy = [parameter for parameter in signature.parameters if parameter.kind.has_leaves]

    def take(self, raw: bytes) -> Intake:
        """Check `raw`, the JSON text of an input.

        Raises:
            InvalidRequest: with everything that is wrong.
        """
        try:
            plain = self._validator.check(raw)
        except InvalidRequest as error:
            raise InvalidRequest([*error.problems, *self._further(raw, error.problems)]) from None
        if plain and not self._leafy and len(raw) <= SHOWN:
            return Intake(raw, (), raw)
        values = {name: value for name, value in json.loads(raw).items() if name in self._parameters}
        public = _json(_shortened(self._masked(values)) if len(raw) > SHOWN else self._masked(values))
        content, files, problems = self._with_files(values)
        if problems:
            raise InvalidRequest(problems)
        return Intake(public, tuple(files), content)

    def _masked(self, values: dict[str, object]) -> dict[str, object]:
        shown = dict(values)
        for parameter in self._present(values):
            shown[parameter.name] = parameter.kind.map(values[parameter.name], _mask)
        return shown

    def _present(self, values: dict[str, object]) -> Iterable[Parameter]:
        return (parameter for parameter in self._leafy if parameter.name in values)

    def _further(self, raw: bytes, found: Sequence[Problem]) -> list[Problem]:
        """What is wrong with the data URLs of parameters that `found` says nothing of."""
        wrong = {problem.loc[2] for problem in found if len(problem.loc) > 2}
        if not wrong:
            return []  # it is no object at all
        values = {k: v for k, v in json.loads(raw).items() if k in self._parameters and k not in wrong}
        return self._with_files(values)[2]

    def _with_files(
        self, values: dict[str, object]
    ) -> tuple[dict[str, object], list[InputFile], list[Problem]]:
        """The values with an `InputFile` wherever a file has to be fetched, defaults of the model included; the
        files; and what is wrong with the data URLs among them."""
        files: list[InputFile] = []
        problems: list[Problem] = []
        content = dict(values)
        for parameter in self._leafy:
            if parameter.name in values:
                value = values[parameter.name]
            elif parameter.default is not None:
                value = parameter.default.value
            else:
                continue
            wrong: dict[str, str] = {}
            content[parameter.name] = parameter.kind.map(value, partial(_collected, files, wrong))
            if wrong:
                problems += _placed(wrong, value, ("body", "input", parameter.name))
        return content, files, problems


Leaf: TypeAlias = File | SecretText


def _mask(kind: Leaf, leaf: object) -> object:
    return MASK if isinstance(kind, SecretText) else leaf


def _collected(files: list[InputFile], wrong: dict[str, str], kind: Leaf, leaf: object) -> object:
    """What takes the place of `leaf`; a file is noted in `files`, a data URL that is none in `wrong`."""
    if isinstance(kind, SecretText) or not isinstance(leaf, str):
        return leaf
    if is_data_url(leaf):
        try:
            file = InputFile(parse(leaf))
        except DataUrlError as error:
            wrong[leaf] = str(error)
            return leaf
    elif leaf[:8].lower().startswith(("http://", "https://")):
        file = InputFile(leaf)
    else:
        return leaf  # a local path: the validator has let it pass, or it is the model's own default
    files.append(file)
    return file


def _placed(wrong: dict[str, str], value: object, at: tuple[str | int, ...]) -> Iterator[Problem]:
    """The problems of the texts in `wrong`, wherever in `value` they stand."""
    match value:
        case str() if value in wrong:
            yield Problem(at, wrong[value])
        case list():
            for index, item in enumerate(value):
                yield from _placed(wrong, item, (*at, index))
        case dict():
            for name, item in value.items():
                yield from _placed(wrong, item, (*at, name))
        case _:
            return


def _shortened(value: object) -> object:
    match value:
        case str() if len(value) > SHOWN and is_data_url(value):
            return shorten(value)
        case list():
            return [_shortened(item) for item in value]
        case dict():
            return {name: _shortened(item) for name, item in value.items()}
        case _:
            return value


def _json(value: object) -> bytes:
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), default=lambda file: cast("InputFile", file).path
    )
    return text.encode("utf-8", "replace")
