"""The door for inputs: checked once, told apart into what the model gets, what clients may see, and the files
that have to be fetched first.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, cast

from cog.errors import InvalidRequest, Problem
from cog.files.data_url import DataUrl, DataUrlError, described, is_data_url, parse, shorten
from cog.schema.validate import LARGE, Validator
from cog.service.kin import Kin
from cog.signature.facts import Parameter, Signature
from cog.signature.kinds import (
    Array,
    File,
    Kind,
    Nullable,
    Record,
    SecretText,
    Tuple,
    Union,
    Wrapped,
)
from cog.signature.kinds import Mapping as Object

# In what clients see of an input, longer data URLs are cut to their media type and size. From the contract.
SHOWN: Final = 4096
MASK: Final = "**********"

# A data URL at the beginning of a text, however JSON spells it.
_DATA_URL: Final = re.compile(
    rb'"(?:d|\\u00[46]4)(?:a|\\u00[46]1)(?:t|\\u00[57]4)(?:a|\\u00[46]1)(?::|\\u003a)', re.IGNORECASE
)

# Of so many sets of unknown names an operator is told, of so many names each.
_TOLD: Final = 100
_NAMED: Final = 10

log = logging.getLogger("cog.service")


@dataclass(slots=True, eq=False)
class InputFile:
    """A file of an input. `path` is filled in when it lies in the prediction's folder."""

    source: str | DataUrl
    path: str = ""


@dataclass(slots=True, eq=False)  # frozen it takes three times as long to make
class Intake:
    """A checked input. `public` is the JSON text that clients may see; `payload()` is for the model, which had
    `signature` when it was checked. Inputs of one model may share a call of it when they have the same `kin`."""

    public: bytes
    files: tuple[InputFile, ...]
    _content: bytes | dict[str, object]
    signature: Signature | None = None
    kin: bytes = b""

    def payload(self) -> bytes:
        """The JSON text for the model; its files must have their paths by now."""
        if isinstance(self._content, bytes):
            return self._content
        return _spliced(self._content)


# Data URLs that were lifted out of an input, by what stands there for them.
Lifting: TypeAlias = Mapping[str, DataUrl]
_NONE: Final[Lifting] = {}

# What is left of an input once the model has it.
TAKEN: Final = Intake(b"", (), b"")


class Door:
    """Takes inputs of one model."""

    def __init__(self, signature: Signature, *, local_files: bool = False, max_files: int = 1000) -> None:
        """With `local_files` a file may be any path instead of a URL; `max_files` is for one input."""
        self.signature = signature
        self._max_files = max_files
        self._validator = Validator(signature, local_files=local_files)
        self._local_files = local_files
        self._parameters = {parameter.name: parameter for parameter in signature.parameters}
        self._leafy = [parameter for parameter in signature.parameters if parameter.kind.has_leaves]
        self._lifting = {parameter.name for parameter in self._leafy if _takes_any_file(parameter)}
        self._told: set[frozenset[str]] = set()
        self._kin = Kin(signature)
        self._lifting -= self._kin.names  # these are compared with those of others

    def take(self, raw: bytes) -> Intake:
        """Check `raw`, the JSON text of an input. For a large one this belongs into a thread.

        Raises:
            InvalidRequest: with everything that is wrong.
        """
        if len(raw) <= LARGE:
            return self._take(raw)
        with _collector_resting():
            return self._take(raw)

    def take_lifted(self, raw: bytes, lifted: Lifting) -> Intake | None:
        """The same for an input without its long data URLs; see `files.lifted`. None when one of them is no file of the
        model's, or something is wrong: that is told of the whole input."""
        try:
            intake = self._take(raw, lifted)
        except InvalidRequest:
            return None
        taken = {id(file.source) for file in intake.files}
        return intake if all(id(url) in taken for url in lifted.values()) else None

    def _take(self, raw: bytes, lifted: Lifting = _NONE) -> Intake:
        try:
            plain = self._validator.check(raw)
        except InvalidRequest as error:
            raise InvalidRequest([*error.problems, *self._further(raw, error.problems)]) from None
        if plain and not self._leafy and (len(raw) <= SHOWN or _DATA_URL.search(raw) is None):
            kin = self._kin.of(self._validator.texts(raw)[0]) if self._kin.names else b""
            return Intake(raw, (), raw, self.signature, kin)
        texts, strangers = self._validator.texts(raw)
        if strangers:
            self._tell_of(strangers)
        values = {parameter.name: json.loads(texts[parameter.name]) for parameter in self._present(texts)}
        public = self._masked(values, lifted)
        if len(raw) > SHOWN:
            public = {name: _shortened(value) for name, value in public.items()}
        content, files, problems = self._with_files(values, lifted)
        if problems:
            raise InvalidRequest(problems)
        shown = {name: _shortened_text(text) for name, text in texts.items()}
        return Intake(
            _spliced(shown | public), tuple(files), texts | content, self.signature, self._kin.of(texts)
        )

    def _tell_of(self, strangers: list[str]) -> None:
        """Say in the log, once, that these names were dropped: somebody may have mistyped one."""
        names = frozenset(name[:100] for name in strangers[:_NAMED])
        if names in self._told or len(self._told) >= _TOLD:
            return
        self._told.add(names)
        log.warning(
            "an input has names that the model lacks: they are dropped. This is said once for the same names",
            extra={"fields": {"names": sorted(names), "inputs_of_the_model": list(self._parameters)}},
        )

    def _masked(self, values: dict[str, object], lifted: Lifting) -> dict[str, object]:
        shown = dict(values)
        mask = partial(_mask, lifted)
        for parameter in self._present(values):
            shown[parameter.name] = parameter.kind.map(values[parameter.name], mask)
        return shown

    def _present(self, values: Container[str]) -> Iterable[Parameter]:
        return (parameter for parameter in self._leafy if parameter.name in values)

    def _further(self, raw: bytes, found: Sequence[Problem]) -> list[Problem]:
        """What is wrong with the data URLs, beside what `found` tells of."""
        if not any(len(problem.loc) > 2 for problem in found):
            return []  # it is no object at all
        texts, _ = self._validator.texts(raw)
        values = {parameter.name: json.loads(texts[parameter.name]) for parameter in self._present(texts)}
        known = {problem.loc for problem in found}
        leaves = [
            (at, text)
            for parameter in self._present(values)
            for at, text in _files_in(parameter.kind, values[parameter.name], _at(parameter))
            if at not in known
        ]
        if len(leaves) > self._max_files:
            return [self._too_many()]
        wrong = _decoded([InputFile(text) for _, text in leaves])
        return [Problem(at, wrong[text]) for at, text in leaves if text in wrong]

    def _too_many(self) -> Problem:
        return Problem(
            ("body", "input"),
            f"names more than {self._max_files:,} files, which is what --max-files allows for one prediction. "
            "Send several predictions, or one archive",
        )

    def _with_files(
        self, values: dict[str, object], lifted: Lifting
    ) -> tuple[dict[str, object], list[InputFile], list[Problem]]:
        """The values with an `InputFile` wherever a file has to be fetched, defaults of the model included; the
        files; and what is wrong with the data URLs among them."""
        files: list[InputFile] = []
        given: list[tuple[Parameter, object]] = []
        problems: list[Problem] = []
        content = dict(values)
        for parameter in self._leafy:
            if parameter.name in values:
                value = values[parameter.name]
            elif parameter.default is not None:
                value = parameter.default.value
            else:
                continue
            ready = lifted if parameter.name in self._lifting else _NONE
            change = partial(_collected, files, self._max_files, ready)
            content[parameter.name] = parameter.kind.map(value, change, marked=True)
            given.append((parameter, value))
        if len(files) > self._max_files:
            return content, [], [self._too_many()]
        wrong = _decoded(files)
        if wrong:
            problems = [
                Problem(at, wrong[text])
                for parameter, value in given
                for at, text in _files_in(parameter.kind, value, _at(parameter))
                if text in wrong
            ]
        return content, files, problems


@contextlib.contextmanager
def _collector_resting() -> Iterator[None]:
    """Millions of new lists make Python look for circles again and again, most of the time that it takes to read them.
    There are none in JSON."""
    awake = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if awake:
            gc.enable()


def _takes_any_file(parameter: Parameter) -> bool:
    """True for a file, or files: what their URLs hold is of no interest to any rule."""
    kind = parameter.kind
    while isinstance(kind, Nullable | Array):
        kind = kind.inner if isinstance(kind, Nullable) else kind.items
    return isinstance(kind, File)


def _mask(lifted: Lifting, kind: Kind, leaf: object) -> object:
    if isinstance(kind, SecretText):
        return MASK
    return described(lifted[leaf]) if isinstance(leaf, str) and leaf in lifted else leaf


def _collected(files: list[InputFile], most: int, lifted: Lifting, kind: Kind, leaf: object) -> object:
    """What takes the place of `leaf`; a file is noted in `files`, up to one more than `most`."""
    if isinstance(kind, SecretText) or not isinstance(leaf, str) or len(files) > most or not _is_file(leaf):
        return leaf
    file = InputFile(lifted.get(leaf, leaf))
    files.append(file)
    return file


def _is_file(text: str) -> bool:
    """True for what has to be fetched. Otherwise it is a local path: the validator has let it pass, or it is the
    model's own default."""
    return text[:8].lower().startswith(("http://", "https://", "data:"))


def _decoded(files: Iterable[InputFile]) -> dict[str, str]:
    """Decode the data URLs among `files`; gives those that are none, each with what is wrong."""
    wrong: dict[str, str] = {}
    for file in files:
        text = file.source
        if isinstance(text, str) and is_data_url(text):
            try:
                file.source = parse(text)
            except DataUrlError as error:
                wrong[text] = str(error)
    return wrong


At: TypeAlias = tuple[str | int, ...]


def _at(parameter: Parameter) -> At:
    return ("body", "input", parameter.name)


def _files_in(kind: Kind, value: object, at: At) -> Iterator[tuple[At, str]]:
    """The places of the files in `value`, which may be wrong in other places, and their texts."""
    match kind, value:
        case File(), str() if _is_file(value):
            yield at, value
        case Nullable(inner) | Wrapped(inner), _ if value is not None:
            yield from _files_in(inner, value, at)
        case Array(items), list():
            for index, item in enumerate(value):
                yield from _files_in(items, item, (*at, index))
        case Tuple(kinds), list():
            for index, (inner, item) in enumerate(zip(kinds, value, strict=False)):
                yield from _files_in(inner, item, (*at, index))
        case Object(inner), dict() if inner is not None:
            for name, item in value.items():
                yield from _files_in(inner, item, (*at, name))
        case Record(), dict():
            for member in kind.members:
                if member.name in value:
                    yield from _files_in(member.kind, value[member.name], (*at, member.name))
        case Union(members), _:
            found = kind.fitting(value, local_files=True)
            if found is not None:
                yield from _files_in(members[found], value, at)
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


def _shortened_text(text: bytes) -> bytes:
    """The same for JSON text, which is seldom read for it."""
    if len(text) <= SHOWN or _DATA_URL.search(text) is None:
        return text
    return _json(_shortened(json.loads(text)))


def _spliced(values: dict[str, object]) -> bytes:
    """An object; bytes among the values are JSON text already."""
    return b"{%s}" % b",".join(
        b"%s:%s" % (_json(name), value if isinstance(value, bytes) else _json(value))
        for name, value in values.items()
    )


def _json(value: object) -> bytes:
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), default=lambda file: cast("InputFile", file).path
    )
    return text.encode("utf-8", "replace")
