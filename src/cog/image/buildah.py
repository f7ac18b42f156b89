"""Buildah, which builds, beside Podman, which runs what it has built: they share their images."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from cog.image.engine import PLATFORM, BuildOrder, Extra, RunOrder, build_flags
from cog.image.podman import OUTSIDE, Podman, push_flags


@dataclass(frozen=True, slots=True)
class Buildah:
    """The programs `buildah` and `podman`."""

    extra: Extra = field(default_factory=Extra)
    name: str = "buildah"
    outside: str | None = OUTSIDE

    @property
    def runner(self) -> tuple[str, ...]:
        """`podman`."""
        return Podman(self.extra).runner

    def trouble(self) -> str | None:
        """One of them is missing."""
        if shutil.which("buildah") is None:
            return "buildah is not installed"
        if shutil.which("podman") is None:
            return "buildah is installed, but podman is not, which runs what it builds"
        return None

    def build(self, order: BuildOrder) -> list[str]:
        """`buildah bud`, as every version calls it."""
        layers = f"--layers={str(order.layers).lower()}"
        fixed = [
            "buildah",
            "bud",
            layers,
            "--force-rm",
            "--platform",
            PLATFORM,
        ]  # also what a failed build has made
        return [*fixed, *build_flags(order), *self.extra.build, str(order.context)]

    def push(self, image: str, digest: Path) -> list[str]:
        """`buildah push`."""
        return ["buildah", "push", *push_flags(image, digest), image]

    def run(self, order: RunOrder) -> list[str]:
        """`podman run`."""
        return Podman(self.extra).run(order)

    def history(self, image: str) -> list[str]:
        """`podman history`."""
        return Podman(self.extra).history(image)

    def labels(self, image: str) -> list[str]:
        """`podman image inspect`."""
        return Podman(self.extra).labels(image)

    def remove(self, container: str) -> list[str]:
        """`podman rm`."""
        return Podman(self.extra).remove(container)

    def forget(self, image: str) -> list[str]:
        """`podman untag`."""
        return Podman(self.extra).forget(image)

    def login(self, registry: str, username: str) -> list[str]:
        """`podman login`, whose passwords buildah uses too."""
        return Podman(self.extra).login(registry, username)
