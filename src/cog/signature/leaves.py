"""The kinds of values that are more than JSON: files, which have to be fetched, and secrets, which are never shown."""

# ruff: noqa: D102  (the methods are described in `Kind`, once for all kinds)
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Literal, cast

from cog.errors import Problem
from cog.signature.problems import Place, wrong, wrong_type
from cog.signature.scalars import Change, Kind, Leaves, Schema

_opened: Final[list[BinaryIO]] = []

_NO_URL: Final = (
    "is not an http://, https:// or data: URL. The model runs on the server, where the client's paths mean "
    "nothing: send a URL that the server can reach, or the file itself as a data URL"
)


def take_opened() -> tuple[BinaryIO, ...]:
    """The files that `decode` has opened since the last call: the caller closes them."""
    if not _opened:
        return ()
    files = tuple(_opened)
    _opened.clear()
    return files


@dataclass(frozen=True, slots=True)
class File(Kind):
    """`cog.Path` (`path`), which the model gets as a path, `cog.File` (`file`), which it gets opened, and `bytes`, of which
    it gets the content."""

    style: Literal["path", "file", "bytes"] = "path"

    @property
    def leaves(self) -> Leaves:
        return frozenset({"file"})

    def json_schema(self) -> Schema:
        return {"type": "string", "format": "uri"}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string")
        elif not local_files and not value[:8].lower().startswith(("http://", "https://", "data:")):
            yield wrong(value, at, _NO_URL)

    def decode(self, value: object) -> object:
        path = cast("str", value)
        if self.style == "bytes":
            with open(path, "rb") as content:
                return content.read()
        if self.style == "path":
            from cog.sdk.types import Path  # here, so that the server never loads what only the model needs

            return Path(path)
        file = open(path, "rb")  # noqa: SIM115  closed at the end of the run, by who takes it (`take_opened`)
        _opened.append(file)
        return file

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        return change(self, value)


@dataclass(frozen=True, slots=True)
class SecretText(Kind):
    """`cog.Secret`; or the class of another package that does the same, `python`, which is known in the worker only."""

    python: Callable[[str], object] | None = field(default=None, compare=False, repr=False)

    @property
    def leaves(self) -> Leaves:
        return frozenset({"secret"})

    def json_schema(self) -> Schema:
        return {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}

    def check(self, value: object, at: Place, *, local_files: bool = False) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(value, at, "string", hidden=True)

    def decode(self, value: object) -> object:
        if self.python is not None:
            return self.python(cast("str", value))
        from cog.sdk.types import Secret  # here, so that the server never loads what only the model needs

        return Secret(cast("str", value))

    def map(self, value: object, change: Change, *, marked: bool = False) -> object:
        return change(self, value)
