"""What a cog.yaml says, as frozen values. Every key may be missing; None and empty mean that it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Variable(NamedTuple):
    """One entry of `environment`."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A secret that a build command may read at `target`."""

    id: str
    target: str
    type: str = "secret"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of `build.run`."""

    command: str
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """What the model needs around it.

    Versions are texts as they were written. `python_requirements` is relative to the folder of cog.yaml.
    `python_packages` and `pre_install` are deprecated; the commands of the latter run after those of `run`. `base_image` and
    `user` are what the image begins with, and whom the model runs as in it.
    """

    python_version: str | None = None
    gpu: bool = False
    cuda: str | None = None
    cudnn: str | None = None
    python_requirements: str | None = None
    python_packages: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    run: tuple[Step, ...] = ()
    pre_install: tuple[str, ...] = ()
    sdk_version: str | None = None
    base_image: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many predictions an `async def run` takes at a time. `default_target` is accepted and unused."""

    max: int | None = None
    default_target: int | None = None


@dataclass(frozen=True, slots=True)
class WeightSource:
    """Where weights come from, and which files of it."""

    uri: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weight:
    """One set of managed weights, put at the absolute path `target`."""

    name: str
    target: str
    sources: tuple[WeightSource, ...] = ()


@dataclass(frozen=True, slots=True)
class Traces:
    """What `observability.traces` says."""

    enabled: bool | None = None
    sampler: str | None = None
    sampler_arg: str | None = None
    trace_header: str | None = None
    trace_header_format: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A cog.yaml. `run` is also where the deprecated `predict` stands.

    `path` is the file, None for a configuration that comes from none. `warnings` tells of deprecated keys.
    """

    path: Path | None = None
    run: str | None = None
    train: str | None = None
    image: str | None = None
    model: str | None = None
    build: Build = field(default_factory=Build)
    concurrency: Concurrency = field(default_factory=Concurrency)
    environment: tuple[Variable, ...] = ()
    weights: tuple[Weight, ...] = ()
    traces: Traces = field(default_factory=Traces)
    warnings: tuple[str, ...] = ()
