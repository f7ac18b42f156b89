"""The model of this folder: its cog.yaml, and the options that every command about it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cog.cli.screen import Screen
from cog.environment.environment import Environment, current
from cog.errors import UsageError

if TYPE_CHECKING:  # what reads YAML is imported when it is needed: `cog run` starts a server before
    from cog.config.model import Config

Command = TypeVar("Command", bound=Callable[..., object])

file_option = click.option(
    "-f",
    "--file",
    "file",
    metavar="PATH",
    help="The configuration. Default: cog.yaml here or in a parent folder.",
)
env_option = click.option(
    "-e",
    "--env",
    "env",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable for the model; NAME alone: as it is set here.",
)
no_env_option = click.option(
    "--no-env",
    is_flag=True,
    help="Use the Python that cog runs in, in the place of an environment of the model's own.",
)


@dataclass(frozen=True, slots=True)
class Project:
    """A cog.yaml and the folder that it lies in, where the model runs."""

    config: Config
    path: Path

    @property
    def folder(self) -> Path:
        """The folder of the model."""
        return self.path.parent

    def variables(self, env: tuple[str, ...] = ()) -> dict[str, str]:
        """What the model finds in its environment: `environment` of cog.yaml, then what was given with -e.

        Raises:
            UsageError: something given with -e is not NAME=VALUE.
        """
        from cog.config import rules

        found = {variable.name: variable.value for variable in self.config.environment}
        for text in env:
            name, equals, value = text.partition("=")
            if not rules.is_variable_name(name):
                raise UsageError(
                    f"-e {text}: write NAME=VALUE, or NAME alone for a variable that is set here"
                )
            if equals:
                found[name] = value
            elif name in os.environ:
                found[name] = os.environ[name]
        return found


def open_project(file: str | None, screen: Screen) -> Project:
    """The project of this folder, or of the configuration `file`. Warnings of cog.yaml are shown.

    Raises:
        ConfigDoesNotExist: there is none.
        ConfigError: it cannot be followed.
    """
    from cog.config.parse import load, locate

    path = locate(file)
    config = load(path)
    for warning in config.warnings:
        screen.warn(warning)
    return Project(config, path)


def open_environment(project: Project, *, no_env: bool, screen: Screen) -> Environment:
    """Where the model of `project` runs: its own environment, made when it is not there, or cog's own Python.

    Raises:
        EnvironmentFailed: it cannot be made.
    """
    if no_env:  # who says this sees to the environment himself: no warning of what it lacks
        return current()
    from cog.cli import interruption
    from cog.environment.limits import missing
    from cog.environment.make import prepare

    if (warning := missing(project.config)) is not None:
        screen.warn(warning)
    began, told = time.monotonic(), False
    with screen.working("Preparing the environment") as show:

        def report(text: str) -> None:
            nonlocal told
            if not told:
                _begin(project, screen)
            told = True
            show(f"Making the environment: {text}")
            if not screen.lively:
                screen.note(f"  {text}")

        with interruption.terminable():  # uv has to end with this command
            environment = prepare(project.config, project.folder, report)
    if told:
        screen.succeed(f"Environment ready in {time.monotonic() - began:.1f} s")
    return environment


def _begin(project: Project, screen: Screen) -> None:
    """What is said once, when an environment is made."""
    from cog.environment.requirements import declared, is_ours

    for line in filter(is_ours, declared(project.config.build, project.folder)):
        screen.warn(f"the requirement {line!r} is dropped: the environment gets the SDK of this cog")
    if not screen.lively:
        screen.note("Making the model's environment")
