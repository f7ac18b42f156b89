"""What an image is made of, in order: each step is one instruction of a Dockerfile, and says why it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Bind:
    """Files that a command sees while it runs: `source` of the build's context, or of the stage `stage`."""

    source: str
    target: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder that lives from build to build, and never in the image. A `locked` one is for one build at a time."""

    target: str
    locked: bool = False


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret that a command reads from the file `target`; nothing of it is left in the image."""

    id: str
    target: str


Mount: TypeAlias = Bind | Cache | SecretFile


@dataclass(frozen=True, slots=True)
class From:
    """What follows begins with the image `base`. A `stage` that is named only lends files to others."""

    base: str
    why: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Variables:
    """Environment variables, from here on and in the image."""

    values: tuple[tuple[str, str], ...]
    why: str


@dataclass(frozen=True, slots=True)
class SearchPath:
    """A folder whose programs are found first, from here on and in the image."""

    folder: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """Command lines of the shell, each run when the one before it succeeded."""

    commands: tuple[str, ...]
    why: str
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpack:
    """The archive `archive` of the context, unpacked at `/`. Owners and times are those in the archive."""

    archive: str
    why: str


@dataclass(frozen=True, slots=True)
class Start:
    """How a container of the image starts: as whom (None: as root), in which folder, on which port."""

    folder: str
    port: int
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    why: str
    user: str | None = None


Step: TypeAlias = From | Variables | SearchPath | Run | Unpack | Start
