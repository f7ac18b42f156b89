"""What cog asks of a container engine. Each engine says how its commands are called; `calls.py` calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

# Bytes of /dev/shm in a container: workers of torch's DataLoader share tensors there, and engines give 64 MB.
SHARED_MEMORY: Final = "6g"
PLATFORM: Final = "linux/amd64"


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """An image to build as `tag`, from a Dockerfile and the files of `context`. `secrets` are as `--secret` takes them.

    Without `layers` the engine need keep nothing for another build: all that is added may be one layer.
    """

    context: Path
    dockerfile: Path
    tag: str
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    no_cache: bool = False
    layers: bool = True


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A container to run until it ends, and to remove then.

    `command` is instead of the image's own when it is not empty. `env` are names of variables of the caller, `publish`
    ports as `127.0.0.1:8393:5000`, `volumes` folders of this machine and where they appear. `hosts` are names that the
    container finds beside those of its network, with their addresses. With `stdin` the container reads what the caller is
    given, with `tty` from its terminal. Without `network` it has none.
    """

    image: str
    name: str
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    volumes: tuple[tuple[Path, str], ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    gpus: str | None = None
    stdin: bool = False
    tty: bool = False
    network: bool = True


@dataclass(frozen=True, slots=True)
class Extra:
    """Words of the user's own for every call: before the command of what runs containers, behind `build`, behind `run`."""

    engine: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


class Engine(Protocol):
    """A container engine. Every method but `trouble` gives a command line."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""
        ...

    @property
    def runner(self) -> tuple[str, ...]:
        """How the program that runs containers is called."""
        ...

    @property
    def outside(self) -> str | None:
        """The name by which its containers find this machine; None: it has none, but knows the address `host-gateway`."""
        ...

    def trouble(self) -> str | None:
        """Why it cannot be used here; None when it can."""
        ...

    def build(self, order: BuildOrder) -> list[str]:
        """Build an image. What it prints is for people."""
        ...

    def push(self, image: str, digest: Path) -> list[str]:
        """Send an image to its registry. What it prints is for people.

        The digest that the registry knows it by is in the file `digest` afterwards, or else in what was printed.
        """
        ...

    def run(self, order: RunOrder) -> list[str]:
        """Run a container, in the foreground."""
        ...

    def history(self, image: str) -> list[str]:
        """Print a line for each instruction that made an image, the newest first: its size, a tab, its words."""
        ...

    def labels(self, image: str) -> list[str]:
        """Print the labels of an image that is here, as JSON."""
        ...

    def remove(self, container: str) -> list[str]:
        """End a container, and remove it."""
        ...

    def forget(self, image: str) -> list[str]:
        """Take a name from an image, and leave everything else of it."""
        ...

    def login(self, registry: str, username: str) -> list[str]:
        """Keep a password, which comes on stdin, for `registry`."""
        ...


def build_flags(order: BuildOrder) -> list[str]:
    """What every engine's `build` takes, but for the name of the command."""
    flags = ["--file", str(order.dockerfile), "--tag", order.tag]
    flags += [word for secret in order.secrets for word in ("--secret", secret)]
    flags += [word for name, value in order.labels.items() for word in ("--label", f"{name}={value}")]
    return [*flags, *(["--no-cache"] if order.no_cache else [])]


def run_flags(order: RunOrder) -> list[str]:
    """What docker and podman both take, but for GPUs."""
    flags = ["--rm", "--name", order.name, "--shm-size", SHARED_MEMORY]
    flags += [word for name in order.env for word in ("--env", name)]
    flags += [word for port in order.publish for word in ("--publish", port)]
    flags += [word for folder, place in order.volumes for word in ("--volume", f"{folder}:{place}")]
    flags += [word for name, address in order.hosts for word in ("--add-host", f"{name}:{address}")]
    flags += ["--interactive"] if order.stdin or order.tty else []
    flags += ["--tty"] if order.tty else []
    return [*flags, *([] if order.network else ["--network", "none"])]


def history(runner: tuple[str, ...], image: str) -> list[str]:
    """As docker and podman both say it."""
    return [*runner, "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image]


def labels(runner: tuple[str, ...], image: str) -> list[str]:
    """As docker and podman both say it."""
    return [*runner, "image", "inspect", "--format", "{{json .Config.Labels}}", image]


def is_local(image: str) -> bool:
    """Whether the registry of `image` is on this machine, where it speaks plain HTTP."""
    host = image.partition("/")[0].rpartition(":")[0] or image.partition("/")[0]
    return "/" in image and (host in ("localhost", "[::1]") or host.startswith("127."))
