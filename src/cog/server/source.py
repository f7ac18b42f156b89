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
    that say so, and what is installed; `train` is the training function that is served beside the model."""

    reference: str
    folder: Path
    gpu: bool = False
    max_concurrency: int | None = None
    settings: tuple[Path, ...] = ()
    train: str | None = None


def locate(settings: Settings, folder: Path) -> Source:
    """The model to serve: COG_PREDICT_TYPE_STUB, else `run` of cog.yaml. In train mode: COG_TRAIN_TYPE_STUB, else `train`.

    Raises:
        ConfigError: cog.yaml cannot be followed.
        PredictorNotSet: nothing names a model.
    """
    path, config = (None, None) if settings.no_config else _config(settings, folder)
    run, train = settings.predict_ref, settings.train_ref
    if config is not None:
        run, train = config.run if run is None else run, config.train if train is None else train
    reference, beside = (train, None) if settings.mode == "train" else (run, train)
    if reference is None:
        where = f"{folder} has no cog.yaml" if path is None else f"{path} does not name it"
        raise PredictorNotSet(_missing(where, train=settings.mode == "train", other=beside))
    home = folder if path is None else path.parent
    if config is None or path is None:
        return Source(reference, home, train=beside)
    files = (path.name, config.build.python_requirements)
    said_in = tuple(home / file for file in files if file is not None)
    return Source(reference, home, config.build.gpu, config.concurrency.max, said_in, beside)


def _missing(where: str, *, train: bool, other: str | None) -> str:
    variable = "COG_TRAIN_TYPE_STUB" if train else "COG_PREDICT_TYPE_STUB"
    key = 'train: "train.py:train"' if train else 'run: "run.py:Runner"'
    text = f"there is no model to serve: {where}, and {variable} is not set. Write `{key}` into cog.yaml, or set {variable}."
    return (
        text
        if other is None
        else f"{text} To serve {other} alone, which trains, start the server with --x-mode train."
    )


def _config(settings: Settings, folder: Path) -> tuple[Path | None, Config | None]:
    from cog.config.parse import find, load  # here: reading YAML takes a sixth of the start of a server

    path = find(folder) if settings.config_file is None else folder / settings.config_file
    config = None if path is None else load(path, check_files=False)
    for warning in () if config is None else config.warnings:
        log.warning("%s", warning)
    return path, config
