"""Builds the image of a model: its layers, then what the model in them says, as labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cog.errors import ImageFailed
from cog.image import advice, calls, context, description, labels, names
from cog.image.draft import Draft
from cog.image.engine import BuildOrder, Engine
from cog.image.labels import Description

SCHEMA: Final = ".cog/openapi_schema.json"


@dataclass(frozen=True, slots=True)
class Manner:
    """How an image is built. `secrets` are as `--secret` takes them, `schema` is a file with the OpenAPI document, in the
    place of what the model says. Unless it `asks`, nobody does, and the image has no schema. `labels` are put on the image
    beside those of every image."""

    secrets: tuple[str, ...] = ()
    no_cache: bool = False
    schema: str | None = None
    asks: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told how it goes: every line of the engine, what is done, and what a person should know."""

    heard: Callable[[str], None]
    doing: Callable[[str], None]
    warn: Callable[[str], None]


def build(
    engine: Engine, draft: Draft, image: str, manner: Manner, watcher: Watcher, environ: Mapping[str, str]
) -> None:
    """Build `image`.

    Raises:
        ImageFailed: the engine cannot build it, or its model could not be served.
    """
    known = Description(None) if not manner.asks else None
    if manner.schema is not None:
        known = description.from_file(manner.schema)
    passing = names.passing("build")
    watcher.doing("Building")
    _layers(engine, draft, passing, manner, watcher, environ)
    try:
        watcher.doing("Reading the model's signature")
        found = (
            known
            if known is not None
            else description.from_image(engine, passing, gpu=draft.config.build.gpu, warn=watcher.warn)
        )
        watcher.doing("Labelling")
        written = _labels(draft, found, manner, watcher)
        _label(engine, draft, (passing, image), found, written, environ)
    finally:
        calls.answer(engine.forget(passing))


def build_layers(
    engine: Engine, draft: Draft, image: str, manner: Manner, watcher: Watcher, environ: Mapping[str, str]
) -> None:
    """Build `image` without asking its model anything: for one that has none, since its source is mounted.

    Raises:
        ImageFailed: the engine cannot build it.
    """
    watcher.doing("Building")
    _layers(engine, draft, image, manner, watcher, environ)


def _layers(
    engine: Engine, draft: Draft, image: str, manner: Manner, watcher: Watcher, environ: Mapping[str, str]
) -> None:
    with context.staged(draft, environ) as staged:
        secrets = (*staged.secrets, *manner.secrets)
        order = BuildOrder(staged.folder, staged.dockerfile, image, secrets=secrets, no_cache=manner.no_cache)
        try:
            calls.follow(engine.build(order), watcher.heard)
        except ImageFailed as error:
            raise ImageFailed(advice.told(str(error), engine.name)) from None


def _labels(draft: Draft, found: Description, manner: Manner, watcher: Watcher) -> dict[str, str]:
    assert draft.config.path is not None
    written = {**labels.make(draft.config.path, found, draft.kit.cog), **manner.labels}
    for name in labels.too_long(written):
        watcher.warn(f"the label {name} is left out: it has more than {labels.LONGEST // 1024} KiB")
        del written[name]
    return written


def _label(
    engine: Engine,
    draft: Draft,
    images: tuple[str, str],
    found: Description,
    written: Mapping[str, str],
    environ: Mapping[str, str],
) -> None:
    """Make the second image of the first, with labels, and with the schema as a file where Cog's servers have it."""
    files = {} if found.openapi_schema is None else {SCHEMA: json.dumps(found.openapi_schema).encode()}
    first, second = images
    text = f"FROM {first}\n" + ("ADD added.tar /\n" if files else "")
    with context.single(draft.folder, files, text, environ) as staged:
        order = BuildOrder(staged.folder, staged.dockerfile, second, labels=written, layers=False)
        calls.follow(engine.build(order), lambda line: None)  # labels are long, and for programs
