"""`cog login`: tells a registry who you are; the engine keeps the password."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from cog.cli import containers
from cog.cli.main import Session
from cog.errors import ConfigDoesNotExist, ImageFailed, UsageError


@click.command("login", short_help="Log in to a registry")
@click.argument("host", required=False, metavar="[REGISTRY]")
@click.option("--registry", "wanted", metavar="HOST", hidden=True, help="[compat] REGISTRY, as a flag.")
@click.option("-u", "--username", metavar="NAME", help="The name; asked for without it.")
@click.option("--token-stdin", is_flag=True, help="Read the password or token from stdin.")
@containers.engine_option
@click.pass_obj
def command(
    session: Session,
    host: str | None,
    wanted: str | None,
    username: str | None,
    token_stdin: bool,
    engine: str | None,
) -> None:
    """Log in to REGISTRY; without it that of COG_REGISTRY_HOST, or of `image` or `model` in cog.yaml.

    The engine keeps the password as it keeps its others (`docker login`, `podman login`).
    """
    host = host or wanted or os.environ.get("COG_REGISTRY_HOST") or _configured()
    chosen = containers.find_engine(engine)
    if token_stdin and username is None:
        raise UsageError("--token-stdin reads the password alone: give the name with --username")
    name = username if username is not None else click.prompt(f"Username for {host}")
    password = sys.stdin.readline().rstrip("\n") if token_stdin else click.prompt("Password", hide_input=True)
    if not password:
        raise UsageError("the password is empty: nothing came on stdin")
    # On stdin: what stands on a command line everybody on this machine can read.
    done = subprocess.run(chosen.login(host, name), input=password.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise ImageFailed(f"{host} refuses the login: {done.stderr.decode(errors='replace').strip()}")
    session.screen.succeed(f"Logged in to {host} as {name}")


def _configured() -> str:
    """The registry of the model of this folder.

    Raises:
        UsageError: nothing names one.
    """
    from cog.config.parse import load, locate
    from cog.image import names

    try:
        config = load(locate(None))
    except ConfigDoesNotExist:
        config = None
    host = names.registry((None if config is None else config.image or config.model) or "")
    if host is None:
        raise UsageError("which registry? Write `cog login registry.example.com`")
    return host
