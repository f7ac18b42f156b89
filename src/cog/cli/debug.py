"""`cog debug`: what cog makes of a folder, for a person who wonders and for a report of a defect."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Final, TypeAlias

import click

from cog.cli.main import Session
from cog.cli.project import Project, env_option, file_option, open_project
from cog.errors import EnvironmentFailed
from cog.version import __version__

Value: TypeAlias = "str | int | bool | list[Value] | dict[str, Value] | None"

_SECRET: Final = re.compile(
    r"TOKEN|KEY|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|PRIVATE|COOKIE|DSN", re.IGNORECASE
)
_USER: Final = re.compile(r"(?<=://)[^/@\s]+@")
_MASK: Final = "**********"


@click.command(name="debug", short_help="Show what cog makes of this folder")
@env_option
@file_option
@click.option(
    "--text", "as_text", is_flag=True, help="The configuration and all that follows from it, as text."
)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_obj
def command(session: Session, env: tuple[str, ...], file: str | None, as_text: bool, as_json: bool) -> None:
    """Show what cog makes of this folder: configuration, Python, environment, requirements, variables.

    Without a flag it is the Dockerfile of the image. Nothing is made. Values of variables that look secret are not shown.
    """
    project = open_project(file, session.screen)
    if not (as_text or as_json):
        from cog.cli.containers import read_draft
        from cog.image.draft import Wishes

        click.echo(read_draft(project, Wishes(), session.screen).dockerfile, nl=False)
        return
    found = describe(project, env)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(found, "")))


def describe(project: Project, env: tuple[str, ...]) -> dict[str, Value]:
    """Everything, in the order in which it is shown. None and empty lists stand for what cog.yaml does not say."""
    from cog.environment.limits import missing

    config = project.config
    warning = missing(config)
    return {
        "cog": {"version": __version__, "python": platform.python_version(), "interpreter": sys.executable},
        "configuration": str(project.path),
        "run": config.run,
        "train": config.train,
        "python": _python(config.build.python_version),
        "environment": _environment(project),
        "requirements": _requirements(project),
        "limits": warning,
        "variables": {name: _shown(name, value) for name, value in sorted(project.variables(env).items())},
        "concurrency": config.concurrency.max,
        "gpu": config.build.gpu,
        "image": config.image if config.image is not None else config.model,
    }


def _python(version: str | None) -> dict[str, Value]:
    from cog.environment.environment import running
    from cog.environment.interpreters import find

    asked = version if version is not None else running()
    try:
        found = find(asked)
    except EnvironmentFailed as error:
        return {"version": asked, "interpreter": None, "problem": str(error)}
    return {"version": asked, "interpreter": None if found is None else str(found)}


def _environment(project: Project) -> dict[str, Value]:
    from cog.environment import recipe
    from cog.environment.make import existing

    wanted = recipe.read(project.config, project.folder, os.environ)
    is_ready = existing(project.config, project.folder) is not None
    return {"folder": str(wanted.place), "key": wanted.key, "ready": is_ready}


def _requirements(project: Project) -> dict[str, Value]:
    from cog.environment.requirements import declared, is_ours, sources

    build = project.config.build
    listed = [_USER.sub(f"{_MASK}@", line) for line in declared(build, project.folder)]
    files = [_relative(each.path, project.folder) for each in sources(build, project.folder, os.environ)]
    return {
        "file": build.python_requirements,
        "made_from": list(files),
        "packages": [line for line in listed if not is_ours(line)],
        "dropped": [line for line in listed if is_ours(line)],
    }


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _shown(name: str, value: str) -> str:
    return _MASK if _SECRET.search(name) else _USER.sub(f"{_MASK}@", value)


def _lines(values: dict[str, Value], indent: str) -> list[str]:
    """One line a value, lists and what is inside of others below it."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}:", *_lines(value, f"{indent}  ")]
        elif isinstance(value, list) and value:
            lines += [f"{indent}{name}:", *(f"{indent}  {each}" for each in value)]
        else:
            lines.append(f"{indent}{name}: {_text(value)}")
    return lines


def _text(value: Value) -> str:
    if value is None or value == [] or value == {}:
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
