"""Finds the container engine: the one that was asked for, else the first that works."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Final

from cog.errors import EngineMissing, UsageError
from cog.image.buildah import Buildah
from cog.image.docker import Docker
from cog.image.engine import Engine, Extra
from cog.image.podman import Podman

# In the order in which they are looked for. Podman before buildah: where both are, one of them is enough.
ENGINES: Final[Mapping[str, Callable[[Extra], Engine]]] = {
    "docker": Docker,
    "podman": Podman,
    "buildah": Buildah,
}


def find(wanted: str | None, environ: Mapping[str, str]) -> Engine:
    """The engine called `wanted`, else that of COG_ENGINE, else the first that works here.

    COG_ENGINE_ARGS, COG_BUILD_ARGS and COG_RUN_ARGS are given to every call, in words as a shell parts them.

    Raises:
        UsageError: there is no engine of this name.
        EngineMissing: it cannot be used here, or none can.
    """
    extra = Extra(*(_words(environ, name) for name in ("COG_ENGINE_ARGS", "COG_BUILD_ARGS", "COG_RUN_ARGS")))
    name = wanted or environ.get("COG_ENGINE") or None
    if name is not None and name not in ENGINES:
        where = "--engine" if wanted else "COG_ENGINE"
        raise UsageError(f"{where} {name}: there is no such engine. Write one of {', '.join(ENGINES)}")
    troubles = []
    for each in ENGINES if name is None else (name,):
        engine = ENGINES[each](extra)
        if (trouble := engine.trouble()) is None:
            return engine
        troubles.append(trouble)
    raise EngineMissing(_missing(troubles, name))


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(environ.get(name, "")))
    except ValueError as error:
        raise UsageError(f"{name} cannot be parted into words: {error}. Close every quote in it") from None


def _missing(troubles: list[str], name: str | None) -> str:
    what = f"{name} cannot be used" if name is not None else "There is no container engine that works"
    listed = "".join(f"\n  - {each}" for each in troubles)
    return (
        f"{what}, and images are made and run by one:{listed}\n"
        "Install Docker (https://docs.docker.com/engine/install/) and start it, or Podman (`apt install podman`, "
        "`brew install podman`).\n"
        "Without an engine `cog run` and `cog serve` run the model of this folder all the same."
    )
