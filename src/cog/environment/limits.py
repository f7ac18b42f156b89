"""What an image has and an environment cannot have."""

from __future__ import annotations

from typing import Final

from cog.config.model import Config

_SHOWN: Final = 3  # commands that are named; of more only the number


def missing(config: Config) -> str | None:
    """One warning that names what cog.yaml asks for and an environment cannot give. None when there is nothing."""
    build = config.build
    commands = [*(step.command.strip() for step in build.run), *(each.strip() for each in build.pre_install)]
    parts = []
    if build.system_packages:
        parts.append(f"build.system_packages ({', '.join(build.system_packages)})")
    if commands:
        key = "build.run" if build.run else "build.pre_install"
        shown = [f"`{_short(command)}`" for command in commands[:_SHOWN]]
        more = [f"{len(commands) - _SHOWN} more"] if len(commands) > _SHOWN else []
        parts.append(f"{key} ({', '.join([*shown, *more])})")
    if not parts:
        return None
    return (
        f"only an image has these, not this machine: {' and '.join(parts)}. If the model misses something, install it by "
        "hand."
    )


def _short(command: str) -> str:
    return command if len(command) <= 60 else f"{command[:57]}..."
