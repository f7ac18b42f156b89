"""`cog login`: tells a registry who you are; the engine keeps the password."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from cog.cli import containers
from cog.cli.main import Session
from cog.cli.screen import Screen
from cog.errors import ConfigDoesNotExist, ImageFailed, UsageError


@click.command("login", short_help="Log in to a registry")
@click.argument("host", required=False, metavar="[REGISTRY]")
@click.option("--registry", "wanted", metavar="HOST", hidden=True, help="[compat] REGISTRY, as a flag.")
@click.option(
    "-u", "--username", metavar="NAME", help="The name. Without it it is asked for, or told by the token."
)
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
    """Log in to REGISTRY; without it that of COG_REGISTRY_HOST, or of `image` or `model` in cog.yaml, or r8.im.

    For r8.im, Replicate's registry, a token is enough, and tells the name. The engine keeps the password as it keeps its others
    (`docker login`, `podman login`).
    """
    host = host or wanted or os.environ.get("COG_REGISTRY_HOST") or _configured()
    from cog.image.pushed import replicates

    chosen = containers.find_engine(engine)
    ask = _by_token if replicates(host, os.environ) else _by_password
    name, password = ask(host, username, session.screen, piped=token_stdin)
    # On stdin: what stands on a command line everybody on this machine can read.
    done = subprocess.run(chosen.login(host, name), input=password.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise ImageFailed(f"{host} refuses the login: {done.stderr.decode(errors='replace').strip()}")
    session.screen.succeed(f"Logged in to {host} as {name}")


def _by_token(host: str, username: str | None, screen: Screen, *, piped: bool) -> tuple[str, str]:
    """The name and the password for a registry that takes tokens."""
    from cog.client import account
    from cog.image.pushed import API, REPLICATE

    if not piped:
        screen.say(f"{host} takes a token of your account at Replicate: {account.TOKENS}")
    token = _secret("Token", piped=piped).strip()
    if username is None:
        meant = host == (
            os.environ.get("COG_REGISTRY_HOST") or REPLICATE
        )  # else the variable is for another registry
        base = (os.environ.get(API) if meant else None) or account.API
        screen.say(f"asking {base} whose the token is")
        username = account.username(token, base)
    return username, token


def _by_password(host: str, username: str | None, screen: Screen, *, piped: bool) -> tuple[str, str]:
    """The name and the password for any other registry."""
    if piped and username is None:
        raise UsageError("--token-stdin reads the password alone: give the name with --username")
    name = username if username is not None else click.prompt(f"Username for {host}")
    return name, _secret("Password", piped=piped)


def _secret(what: str, *, piped: bool) -> str:
    given: str = sys.stdin.readline().rstrip("\r\n") if piped else click.prompt(what, hide_input=True)
    if not given:
        raise UsageError(f"the {what.lower()} is empty: nothing came on stdin")
    return given


def _configured() -> str:
    """The registry of the model of this folder; Replicate's when nothing names an image.

    Raises:
        UsageError: the image has no registry in its name.
    """
    from cog.config.parse import load, locate
    from cog.image import names
    from cog.image.pushed import REPLICATE

    try:
        config = load(locate(None))
    except ConfigDoesNotExist:
        config = None
    image = None if config is None else config.image or config.model
    host = REPLICATE if image is None else names.registry(image)
    if host is None:
        raise UsageError("which registry? Write `cog login registry.example.com`")
    return host
