"""The model's packages: every file that a requirements file leads to, as the build finds it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cog.config.model import Build
from cog.environment import requirements
from cog.environment.requirements import Source
from cog.errors import UsageError
from cog.image import frameworks, kit
from cog.image.ignore import Ignored

LISTED: Final = "packages.txt"  # what stands in cog.yaml itself


@dataclass(frozen=True, slots=True)
class Packages:
    """What is installed. `name` is the list to begin with, None when there is nothing; `files` are all files, by path.

    `lines` is what the lists say, `dropped` those of them that ask for cog, `notes` what was changed and why.
    """

    name: str | None
    files: Mapping[str, bytes]
    lines: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """12 characters that tell these files from others."""
        return kit.digest(self.files)


def read(build: Build, folder: Path) -> Packages:
    """What cog.yaml asks for, with every file of the folder that this leads to.

    Raises:
        UsageError: something lies where no image can be made of it.
    """
    declared = tuple(requirements.declared(build, folder))
    dropped = tuple(filter(requirements.is_ours, declared))
    name = build.python_requirements if build.python_requirements is not None else LISTED
    if not [line for line in declared if line not in dropped]:
        return Packages(None, {}, (), dropped)
    files: dict[str, bytes] = {}
    if build.python_requirements is None:
        files[LISTED] = _text(declared)
    lines: list[str] = []
    for source in requirements.sources(build, folder, {}):
        found = _files(source, folder)
        files |= found
        if source.kind == "list":
            lines += requirements.lines(next(iter(found.values())).decode("utf-8-sig", "replace"))
    kept = tuple(line for line in lines or declared if not requirements.is_ours(line))
    return Packages(_inside(folder / name, folder), files, kept, dropped)


def fit(packages: Packages, cuda: str | None) -> Packages:
    """With the wheels of torch that are made for `cuda`, or for the CPU: those are smaller by gigabytes."""
    if packages.name is None:
        return packages
    changed: dict[str, bytes] = {}
    notes: list[str] = []
    for name, content in packages.files.items():
        if not name.endswith(".txt") and name != packages.name:
            continue
        listed = [*requirements.lines(content.decode("utf-8-sig", "replace"))]
        fitted = frameworks.fit(listed, cuda)
        if fitted.index is not None:
            # The newest of all indexes counts, as it does for pip: PyTorch's own has old versions of other packages.
            changed[name] = _text((f"--extra-index-url {fitted.index}", *fitted.lines))
            notes += [f"{line} from {fitted.index}" for line in fitted.changed]
    return replace(packages, files={**packages.files, **changed}, notes=tuple(notes))


def _text(lines: tuple[str, ...]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _files(source: Source, folder: Path) -> dict[str, bytes]:
    if source.kind == "editable":
        raise UsageError(
            f"{source.path} is asked for as an editable package, and an image has no folder to edit. Name it without `-e`, or "
            "put its code beside the model's."
        )
    try:
        if source.kind != "folder":
            return {_inside(source.path, folder): source.path.read_bytes()}
        return {_inside(path, folder): path.read_bytes() for path in _tree(source.path)}
    except OSError as error:
        raise UsageError(
            f"{source.path} cannot be put into the image: {error.strerror}. Is it there, and readable?"
        ) from None


def _tree(folder: Path) -> list[Path]:
    """The files of a package that is built in the image."""
    leaving = Ignored(())
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.relative_to(folder).as_posix() not in leaving)


def _inside(path: Path, folder: Path) -> str:
    place = Path(os.path.normpath(folder / path))
    if not place.is_relative_to(folder):
        raise UsageError(
            f"{place} lies outside of {folder}, and an image is made of nothing else. Copy it into that folder and name it there."
        )
    return place.relative_to(folder).as_posix()
