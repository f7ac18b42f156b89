"""Gives a model its environment: the one that is there when nothing has changed, else a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cog.config.model import Config
from cog.environment import recipe, shelf
from cog.environment.environment import Environment
from cog.environment.recipe import Recipe
from cog.errors import EnvironmentFailed

_WAITING: Final = "waiting for another cog that makes an environment of this model"


def prepare(config: Config, folder: Path, report: Callable[[str], None]) -> Environment:
    """The environment of the model in `folder`, made when it is not there. It is kept from being removed while in use.

    `report` gets short texts of progress; none when nothing has to be done.

    Raises:
        EnvironmentFailed: it cannot be made. The text has the resolver's own message.
    """
    wanted = recipe.read(config, folder, os.environ)
    shelf.use(wanted.place)
    if shelf.ready(wanted.place) != shelf.sdk():
        with shelf.locked(wanted.place.parent, lambda: report(_WAITING)) as lock:
            _make(wanted, report, lock)
            shelf.use(wanted.place)
            shelf.prune(wanted.place.parent, wanted.place)
    return _environment(wanted.place)


def existing(config: Config, folder: Path) -> Environment | None:
    """The environment of the model in `folder` if it is ready. Nothing is made, and nothing is noted."""
    place = recipe.read(config, folder, os.environ).place
    return _environment(place) if shelf.ready(place) is not None else None


def _environment(place: Path) -> Environment:
    return Environment(place / "bin" / "python", place)


def _make(wanted: Recipe, report: Callable[[str], None], lock: int) -> None:
    """Make what is still missing: another process may have made it while this one waited for the lock."""
    place, sdk = wanted.place, shelf.sdk()
    found = shelf.ready(place)
    try:
        if found is None:
            from cog.environment.filling import fill  # and what calls uv: needed only now

            shelf.clear(place)
            try:
                fill(wanted, report, lock)
            except EnvironmentFailed:
                shelf.clear(place)
                raise
        if found != sdk:
            shelf.install_sdk(place)
            shelf.set_ready(place, sdk)
    except OSError as error:
        raise EnvironmentFailed(
            f"The environment in {place} cannot be made: {error}. Is the disk full, or not yours?"
        ) from error
