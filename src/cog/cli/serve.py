"""`cog serve`: the model of this folder over HTTP, until Ctrl-C."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import sys
from ipaddress import IPv6Address, ip_address
from typing import Final, NoReturn
from urllib.parse import urlsplit

import click

from cog.cli import containers, runtime
from cog.cli.handed_on import flags_of, server_options
from cog.cli.main import Session
from cog.cli.project import Project, env_option, file_option, no_env_option, open_environment, open_project
from cog.cli.screen import Screen
from cog.errors import UsageError

PORT: Final = 8393
_TRIED: Final = 20  # ports that are looked at for one to suggest


def _url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from cog.settings import values

    try:
        return values.url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("serve", short_help="Serve the model over HTTP")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=PORT,
    show_default=True,
    help="Port; 0 takes any free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. 0.0.0.0 lets other machines in, whoever they are.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    help="Predictions of a plain `def run` at a time, each in a process with its own copy of the model. Default: the "
    "number of CPUs, 1 when build.gpu is true or with --reload.",
)
@click.option(
    "--upload-url",
    metavar="URL",
    callback=_url,
    help="Where output files are PUT. Default: they are in the response.",
)
@click.option(
    "--reload", is_flag=True, help="Load the model anew when its source changes; nothing that runs is lost."
)
@server_options
@env_option
@file_option
@no_env_option
@containers.docker_option
@containers.engine_option
@click.pass_obj
def command(
    session: Session,
    /,
    port: int,
    host: str,
    threads: int | None,
    upload_url: str | None,
    reload: bool,
    env: tuple[str, ...],
    file: str | None,
    no_env: bool,
    docker: bool,
    engine: str | None,
    **serving: str | None,
) -> None:
    """Serve the model of this folder over HTTP.

    With a page at /docs that shows the inputs and runs the model. Ctrl-C ends it after what is running, a second one at
    once.

    \b
      cog serve
      cog serve --reload
      curl localhost:8393/predictions --json '{"input": {"prompt": "a dog"}}'
    """
    project = open_project(file, Screen(io.StringIO(), lively=False))  # the server warns of the same
    _check_free(host, port)
    flags = ["--threads", str(threads)] if threads is not None else []
    flags += ["--upload-url", upload_url] if upload_url is not None else []
    flags += ["--reload"] if reload else []
    flags += flags_of(serving)
    _check(project, env)  # before minutes are spent on an environment
    if docker:
        _serve_contained(session, project, env, engine, (host, port), flags, upload_url)
    environment = open_environment(project, no_env=no_env, screen=session.screen)
    _become(
        runtime.command("--config", str(project.path), "--host", host, "--port", str(port), *flags),
        _variables(session, runtime.variables(project, environment, env)),
    )


def _serve_contained(
    session: Session,
    project: Project,
    env: tuple[str, ...],
    engine: str | None,
    address: tuple[str, int],
    flags: list[str],
    upload_url: str | None,
) -> NoReturn:
    from cog.cli import contained

    if address[1] == 0:
        raise UsageError("-p 0: a container's port is published as it is given. Name one, such as 8393")
    own_network = "--net" not in os.environ.get("COG_RUN_ARGS", "")
    if upload_url is not None and own_network and _is_itself(urlsplit(upload_url).hostname):
        raise UsageError(
            f"--upload-url {upload_url}: in a container that is the container itself. Write {contained.HOST} for this machine; "
            "what takes the files has to listen on 0.0.0.0"
        )
    own = _variables(session, project.variables(env))
    chosen = containers.find_engine(engine)
    contained.serve(session, project, chosen, own, address, flags, outside=upload_url is not None)


def _is_itself(host: str | None) -> bool:
    """Whether whoever connects to it finds themselves."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


def _check(project: Project, env: tuple[str, ...]) -> None:
    """Raises:
    UsageError: something given with -e is not NAME=VALUE.
    PredictorNotSet: nothing names a model.
    """
    from cog.cli.performance import reference

    project.variables(env)
    reference(project)


def _variables(session: Session, variables: dict[str, str]) -> dict[str, str]:
    """With a log for the person who looks at it, unless other words were set."""
    ours = {"LOG_FORMAT": "console", "COG_LOG_PREDICTIONS": "true"}
    if not session.screen.lively:
        ours["COG_NO_COLOR"] = "1"
    if session.debug:
        ours["COG_LOG_LEVEL"] = "debug"
    return {**ours, **variables}


def _become(command: list[str], variables: dict[str, str]) -> NoReturn:
    """Turn into the server: so signals reach it and nobody else, and its exit code is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    # It takes them when it can: before that Ctrl-C would end it with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    os.execve(command[0], command, variables)


def _check_free(host: str, port: int) -> None:
    """Raises:
    UsageError: one cannot listen there.
    """
    try:
        _listen(host, port)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host} port {port}: {_why(error, host, port)}") from error


def _why(error: OSError | UnicodeError, host: str, port: int) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        free = next((other for other in range(port + 1, port + _TRIED) if _is_free(host, other)), 0)
        return f"another program uses it. End that, or take another port: `cog serve -p {free}`"
    if number == errno.EACCES:
        return "ports below 1024 are for root. Take another: `cog serve -p 8080`"
    return f"{error}. --host takes an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all"


def _is_free(host: str, port: int) -> bool:
    try:
        _listen(host, port)
    except (OSError, OverflowError):  # there is no port above 65535
        return False
    return True


def _listen(host: str, port: int) -> None:
    """Listen there for a moment, as the server will."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
            listening.bind(address)
            listening.listen(1)
