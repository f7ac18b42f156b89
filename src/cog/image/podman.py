"""Podman, which needs no daemon."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cog.image.engine import (
    PLATFORM,
    BuildOrder,
    Extra,
    RunOrder,
    build_flags,
    history,
    is_local,
    labels,
    run_flags,
)

# `host-gateway` came later than version 4.3, which Debian 12 has; this name is known by all.
OUTSIDE: Final = "host.containers.internal"


@dataclass(frozen=True, slots=True)
class Podman:
    """The program `podman`."""

    extra: Extra = field(default_factory=Extra)
    name: str = "podman"
    outside: str | None = OUTSIDE

    @property
    def runner(self) -> tuple[str, ...]:
        """`podman`."""
        return ("podman", *self.extra.engine)

    def trouble(self) -> str | None:
        """There is none."""
        return "podman is not installed" if shutil.which("podman") is None else None

    def build(self, order: BuildOrder) -> list[str]:
        """`podman build`."""
        layers = f"--layers={str(order.layers).lower()}"
        fixed = ["build", layers, "--force-rm", "--platform", PLATFORM]  # also what a failed build has made
        return [*self.runner, *fixed, *build_flags(order), *self.extra.build, str(order.context)]

    def push(self, image: str, digest: Path) -> list[str]:
        """`podman push`."""
        return [*self.runner, "push", *push_flags(image, digest), image]

    def run(self, order: RunOrder) -> list[str]:
        """`podman run`."""
        return [
            *self.runner,
            "run",
            *run_flags(order),
            *devices(order.gpus),
            *self.extra.run,
            order.image,
            *order.command,
        ]

    def history(self, image: str) -> list[str]:
        """`history`."""
        return history(self.runner, image)

    def labels(self, image: str) -> list[str]:
        """`image inspect`."""
        return labels(self.runner, image)

    def remove(self, container: str) -> list[str]:
        """`rm`."""
        return [*self.runner, "rm", "--force", container]

    def forget(self, image: str) -> list[str]:
        """`podman untag`: `rmi` would take the layers along that the next build begins with."""
        return [*self.runner, "untag", image]

    def login(self, registry: str, username: str) -> list[str]:
        """`podman login`."""
        local = ["--tls-verify=false"] if is_local(f"{registry}/") else []
        return [*self.runner, "login", *local, "--username", username, "--password-stdin", registry]


def push_flags(image: str, digest: Path) -> list[str]:
    """What podman and buildah both take. A registry of this machine has no certificate; docker knows that by itself."""
    return [*(["--tls-verify=false"] if is_local(image) else []), "--digestfile", str(digest)]


def devices(gpus: str | None) -> list[str]:
    """`--gpus` in the words of podman, which names GPUs by the Container Device Interface."""
    if gpus is None:
        return []
    wanted = gpus.strip('"').removeprefix("device=")
    names = (
        [str(number) for number in range(int(wanted))]
        if wanted.isdecimal() and wanted == gpus
        else wanted.split(",")
    )
    return [word for name in names for word in ("--device", f"nvidia.com/gpu={name}")]
