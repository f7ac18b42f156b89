"""`cog exec`: any command in the model's environment."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click

from cog.cli import containers
from cog.cli.main import Session
from cog.cli.project import env_option, file_option, no_env_option, open_environment, open_project
from cog.errors import UsageError


@click.command(
    name="exec",
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in the model's environment",
)
@env_option
@file_option
@no_env_option
@click.option(
    "-p",
    "--publish",
    "ports",
    multiple=True,
    metavar="PORT",
    help="A port of the container, with --docker. Without that the command listens on this machine itself.",
)
@click.option(
    "--gpus",
    metavar="GPUS",
    help="GPUs for the container, with --docker. Without that the command sees every one here.",
)
@containers.docker_option
@containers.engine_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD...")
@click.pass_obj
def command(
    session: Session,
    env: tuple[str, ...],
    file: str | None,
    no_env: bool,
    ports: tuple[str, ...],
    gpus: str | None,
    docker: bool,
    engine: str | None,
    command: tuple[str, ...],
) -> None:
    """Run CMD in the model's environment, in the folder of cog.yaml.

    Everything from the first word that is no flag on belongs to CMD: `cog exec -e DEBUG=1 python -c "import run"`. It
    finds the variables of `environment` and -e, has the terminal, and its exit code is that of this command.
    """
    project = open_project(file, session.screen)
    variables = project.variables(env)
    if docker:
        from cog.cli import contained

        chosen = containers.find_engine(engine)
        contained.execute(session, project, chosen, variables, command, ports=ports, wanted=gpus)
    if ports or gpus is not None:
        given = " and ".join([*(["-p"] if ports else []), *(["--gpus"] if gpus is not None else [])])
        session.screen.warn(
            f"{given}: without a container the command has the ports and GPUs of this machine as they are"
        )
    environment = open_environment(project, no_env=no_env, screen=session.screen)
    _become(command, project.folder, environment.variables({**os.environ, **variables}))


def _become(command: tuple[str, ...], folder: Path, variables: Mapping[str, str]) -> NoReturn:
    """Turn into the command: so its signals, its terminal and its exit code are its own."""
    os.chdir(folder)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two for itself, and a command would inherit that: `yes | head` in it would not end quietly.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, dict(variables))
    except OSError as error:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        raise UsageError(_why(command[0], error, variables)) from None


def _why(name: str, error: OSError, variables: Mapping[str, str]) -> str:
    found = name if "/" in name else shutil.which(name, path=variables.get("PATH"))
    if isinstance(error, FileNotFoundError) and (found is None or not os.path.exists(found)):
        if "/" in name:
            return f"cog exec: there is no {name} in {os.getcwd()}, where commands run"
        if os.path.exists(name):
            return f"cog exec: there is no command {name}. A file of the model's folder is ./{name}, or `python {name}`"
        return (
            f"cog exec: there is no command {name} in the model's environment or on PATH. If a package brings it, add the "
            "package to the requirements; a program of the system is installed by hand"
        )
    if isinstance(error, FileNotFoundError):
        return f"cog exec: {found} cannot start: the program that its first line names is not here"
    if isinstance(error, PermissionError):
        return f"cog exec: {name} cannot be executed. Is it a folder, or does it lack `chmod +x`?"
    return f"cog exec: {name} cannot start: {error.strerror}"
