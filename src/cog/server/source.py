"""Which model is served: from cog.yaml and the environment."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cog.errors import PredictorNotSet
from cog.settings import Settings

if TYPE_CHECKING:
    from cog.config.model import Config

log = logging.getLogger("cog.server")


@dataclass(frozen=True, slots=True)
class Source:
    """The model's reference, the folder it lies in, and what cog.yaml says of how to run it. `settings` are the files
    that say so, and what is installed."""

    reference: str
    folder: Path
    gpu: bool = False
    max_concurrency: int | None = None
    settings: tuple[Path, ...] = ()


def locate(settings: Settings, folder: Path) -> Source:
    """The model to serve: COG_PREDICT_TYPE_STUB, else `run` of cog.yaml.

    Raises:
        ConfigError: cog.yaml cannot be followed.
        PredictorNotSet: nothing names a model.
    """
    path, config = (None, None) if settings.no_config else _config(settings, folder)
    train = settings.mode == "train"
    variable = "COG_TRAIN_TYPE_STUB" if train else "COG_PREDICT_TYPE_STUB"
    reference = settings.train_ref if train else settings.predict_ref
    if reference is None and config is not None:
        reference = config.train if train else config.run
    if reference is None:
        key = 'train: "train.py:train"' if train else 'run: "run.py:Runner"'
        where = f"{folder} has no cog.yaml" if path is None else f"{path} does not name it"
        raise PredictorNotSet(
            f"there is no model to serve: {where}, and {variable} is not set. Write `{key}` into cog.yaml, or set {variable}."
        )
    home = folder if path is None else path.parent
    if config is None or path is None:
        return Source(reference, home)
    files = (path.name, config.build.python_requirements)
    said_in = tuple(home / file for file in files if file is not None)
    return Source(reference, home, config.build.gpu, config.concurrency.max, said_in)


def _config(settings: Settings, folder: Path) -> tuple[Path | None, Config | None]:
    from cog.config.parse import find, load  # here: reading YAML takes a sixth of the start of a server

    path = find(folder) if settings.config_file is None else folder / settings.config_file
    config = None if path is None else load(path, check_files=False)
    for warning in () if config is None else config.warnings:
        log.warning("%s", warning)
    return path, config
