"""The steps of an image as the text of a Dockerfile, which every engine reads the same way."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from cog.errors import ConfigError
from cog.image.steps import (
    Bind,
    Cache,
    From,
    Mount,
    Run,
    SearchPath,
    SecretFile,
    Start,
    Step,
    Unpack,
    Variables,
)

# Mounts of commands need it where BuildKit builds; other engines take the line for a comment.
SYNTAX: Final = "# syntax=docker/dockerfile:1"
_CONTINUED: Final = " \\\n    "
_QUOTED: Final = re.compile(r'[\\"$]')
# BuildKit and buildah read a Dockerfile by lines, and refuse one that is longer.
_LONGEST: Final = 65_000


def text(steps: Sequence[Step]) -> str:
    """The Dockerfile, with a comment before each step that says why it is there.

    Raises:
        ConfigError: something cannot be written into a Dockerfile.
    """
    parts = [f"# {step.why}\n{instruction(step)}\n" for step in steps]
    return "\n".join([f"{SYNTAX}\n", *parts])


def instruction(step: Step) -> str:
    """One step, as one instruction or a few that belong together."""
    match step:
        case From(base, _, stage):
            return f"FROM {base}" + (f" AS {stage}" if stage else "")
        case Variables(values):
            return "ENV " + _CONTINUED.join(f"{name}={_quoted(name, value)}" for name, value in values)
        case SearchPath(folder):
            return f'ENV PATH="{folder}:$PATH"'
        case Run(commands, _, mounts):
            shell = f" &&{_CONTINUED}".join(command.strip().rstrip("\\ ") for command in commands)
            return "RUN " + _CONTINUED.join([*map(_mount, mounts), shell])
        case Unpack(archive):
            return f"ADD {archive} /"
        case Start():
            return _start(step)


def _start(step: Start) -> str:
    user = [] if step.user is None else [f"USER {step.user}"]
    return "\n".join(
        [
            f"WORKDIR {step.folder}",
            f"EXPOSE {step.port}",
            *user,
            f"ENTRYPOINT {json.dumps(step.entrypoint)}",
            f"CMD {json.dumps(step.command)}",
        ]
    )


def _mount(mount: Mount) -> str:
    match mount:
        case Bind(source, target, stage):
            lender = f"from={stage}," if stage else ""
            return f"--mount=type=bind,{lender}source={source},target={target}"
        case Cache(target, locked):
            return f"--mount=type=cache,target={target}" + (",sharing=locked" if locked else "")
        case SecretFile(id, target):
            return f"--mount=type=secret,id={id},target={target}"


def _quoted(name: str, value: str) -> str:
    """`value` between quotes, so that neither the Dockerfile nor a shell changes a letter of it."""
    if "\n" in value or "\r" in value:
        raise ConfigError(
            f"environment: {name} holds a line break, which no variable of an image can. Set it when the container "
            "starts (`docker run -e`), or read the text from a file of the model"
        )
    if len(value) > _LONGEST:
        raise ConfigError(
            f"environment: {name} has {len(value):,} characters, and an image takes {_LONGEST:,} at most. Put the text "
            "into a file of the model"
        )
    escaped = _QUOTED.sub(lambda match: f"\\{match[0]}", value)
    return f'"{escaped}"'
