"""Docker, which builds with BuildKit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cog.image.engine import PLATFORM, BuildOrder, Extra, RunOrder, build_flags, history, labels, run_flags

_PATIENCE: Final = 20.0  # seconds for the daemon to answer: where it is started on demand that takes a while


@dataclass(frozen=True, slots=True)
class Docker:
    """The program `docker`, and the daemon that it speaks to."""

    extra: Extra = field(default_factory=Extra)
    name: str = "docker"
    outside: str | None = None

    @property
    def runner(self) -> tuple[str, ...]:
        """`docker`."""
        return ("docker", *self.extra.engine)

    def trouble(self) -> str | None:
        """There is no docker, or its daemon does not answer."""
        if shutil.which("docker") is None:
            return "docker is not installed"
        ask = [*self.runner, "version", "--format", "{{.Server.Version}}"]
        try:
            done = subprocess.run(
                ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return f"docker does not answer within {_PATIENCE:g} s"
        if done.returncode == 0:
            return None
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return f"docker is installed, but its daemon cannot be reached: {said}"

    def build(self, order: BuildOrder) -> list[str]:
        """`docker buildx build`; the image is then among those of docker, whatever builder made it."""
        fixed = ["buildx", "build", "--load", "--progress", "plain", "--platform", PLATFORM]
        return [*self.runner, *fixed, *build_flags(order), *self.extra.build, str(order.context)]

    def push(self, image: str, digest: Path) -> list[str]:
        """`docker push`, which prints the digest."""
        return [*self.runner, "push", image]

    def run(self, order: RunOrder) -> list[str]:
        """`docker run`."""
        gpus = [] if order.gpus is None else ["--gpus", order.gpus]
        return [*self.runner, "run", *run_flags(order), *gpus, *self.extra.run, order.image, *order.command]

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
        """`docker rmi`."""
        return [*self.runner, "rmi", "--no-prune", image]

    def login(self, registry: str, username: str) -> list[str]:
        """`docker login`."""
        return [*self.runner, "login", "--username", username, "--password-stdin", registry]
