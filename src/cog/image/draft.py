"""A model's folder, read: all that its image will be made of, and the Dockerfile."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cog.config.model import Config
from cog.image import authority, base, dockerfile, files, installer, kit, packages
from cog.image.base import Base, CudaBase
from cog.image.files import Entry
from cog.image.kit import Kit
from cog.image.packages import Packages
from cog.image.plan import Facts, plan, python_of
from cog.image.steps import Step


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says of an image. Without `source` the model's files are left out: they are mounted."""

    cuda_base: CudaBase = "auto"
    user: str | None = None
    keep_certificate: bool = False
    source: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """What an image will be made of. `source` and `weights` are files of the model, `uv` is the program, if it is lent."""

    config: Config
    folder: Path
    base: Base
    kit: Kit
    uv: Path | None
    packages: Packages
    source: tuple[Entry, ...]
    weights: tuple[Entry, ...]
    certificates: str | None
    steps: tuple[Step, ...]

    @property
    def dockerfile(self) -> str:
        """The text of the Dockerfile."""
        return dockerfile.text(self.steps)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, though an image can be made."""
        dropped = (
            f"the requirement {line!r} is dropped: an image gets {self.kit.source}, {self.kit.cog}"
            for line in self.packages.dropped
        )
        return (*dropped, *self._sdk(), *self.base.warnings)

    def _sdk(self) -> tuple[str, ...]:
        asked = self.config.build.sdk_version
        if asked in (None, self.kit.cog):
            return ()
        return (f"build.sdk_version is {asked}: an image gets {self.kit.source}, {self.kit.cog}",)


def read(config: Config, folder: Path, wishes: Wishes, environ: Mapping[str, str]) -> Draft:
    """Read the folder of a model.

    Raises:
        ConfigError, UsageError, EnvironmentFailed: no image can be made of it, and why.
    """
    running = ".".join(platform.python_version_tuple()[:2])
    python = python_of(config.build, running)
    asked = packages.read(config.build, folder)
    chosen = base.choose(config.build, python, asked.lines, cuda_base=wishes.cuda_base)
    fitted = packages.fit(asked, chosen.cuda)
    brought, uv, certificates = kit.make(environ), installer.lendable(), authority.certificates(environ)
    found = files.entries(folder, files.ignored(folder)) if wishes.source else []
    weights = tuple(entry for entry in found if entry.is_weights)
    facts = Facts(
        base=chosen,
        python=python,
        kit=kit_folder(brought),
        uv=brought.uv,
        uv_lent=uv is not None,
        packages=None if fitted.name is None else packages_folder(fitted),
        requirements=fitted.name,
        indexed=bool(fitted.notes),
        weights=bool(weights),
        source=wishes.source,
        certificate=certificates is not None,
        keep_certificate=wishes.keep_certificate and certificates is not None,
        server_python=environ.get("COG_SERVER_PYTHON") or "python",
        cog=brought.cog,
        user=wishes.user,
    )
    source = tuple(entry for entry in found if not entry.is_weights)
    return Draft(
        config, folder, chosen, brought, uv, fitted, source, weights, certificates, plan(config, facts)
    )


def kit_folder(found: Kit) -> str:
    """Where the kit lies in the context. The name changes with the content: not every engine looks into what it mounts."""
    return f"kit-{found.digest}"


def packages_folder(found: Packages) -> str:
    """Where the model's packages lie in the context; of the name see `kit_folder`."""
    return f"packages-{found.digest}"
