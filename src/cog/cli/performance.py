"""What `cog run`, `predict` and `train` do: find or start a server of the model, and ask it once.

A Python takes its time to start and to import things, and there are three of them: this command, the server and the
model's worker. So nothing waits for what it does not need: the server starts before most of this command is imported,
and holds the model back until the input was checked.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from cog.cli import interruption, runtime
from cog.cli.main import Session
from cog.cli.order import Order
from cog.cli.project import Project, open_environment, open_project
from cog.cli.runtime import Runtime
from cog.errors import ModelFailed, PredictorNotSet, ServerUnreachable

if TYPE_CHECKING:
    from cog.cli.request import Request

# One client, which waits and knows what it sends: no copies of the model, and no limits for strangers.
FLAGS: Final = (
    "--hold", "--no-config", "--threads", "1", "--allow-local-files", "--max-body", "4GiB", "--drain-timeout", "0",
)  # fmt: skip


def perform(order: Order, session: Session, *, train: bool = False) -> int:
    """Carry out the order; gives the exit code: 0, or that of an interrupt.

    Raises:
        CogError: why it could not be done.
    """
    order.check()
    context = order.context()
    with interruption.terminable():
        try:
            if order.contained:
                from cog.cli import contained

                contained.ask(order, session, context, partial(reference, train=train), train=train)
            elif order.url is None:
                _ask_here(order, session, context, train=train)
            else:
                _ask_there(order, order.url, session, context, train=train)
        except KeyboardInterrupt as interrupt:
            session.screen.say("Canceled")
            return interruption.exit_code(interrupt)
        except BrokenPipeError:  # who reads the results has seen enough
            return 1
    return 0


def _ask_there(order: Order, url: str, session: Session, context: dict[str, str], *, train: bool) -> None:
    """Ask the server at `url`."""
    from cog.cli.prediction import Asking
    from cog.cli.request import Request
    from cog.client.connection import Connection
    from cog.client.model import RemoteModel

    request = Request.read(order, context, train=train)
    Asking(RemoteModel(Connection(url)), session.screen).ask(request)


def _ask_here(order: Order, session: Session, context: dict[str, str], *, train: bool) -> None:
    """Start the model of this folder, ask it, end it."""
    with runtime.private() as server:
        request = _begin(server, order, session, context, train=train)

        from cog.cli.given import Links
        from cog.cli.prediction import Asking
        from cog.cli.printing import ServerLog
        from cog.client.connection import Connection
        from cog.client.model import RemoteModel

        with ServerLog(server.log, session.screen).shown() as log, told(server):
            model = RemoteModel(Connection("localhost", server.socket))
            links = Links(server.folder)
            asking = Asking(model, session.screen, look=lambda: look(server), settle=log.settle, links=links)
            asking.ask(request)
            model.connection.close()
            server.end()


def _begin(
    server: Runtime, order: Order, session: Session, context: dict[str, str], *, train: bool
) -> Request:
    """Give `server` its orders; let it load the model once the input was held against the source of that."""
    project = open_project(order.file, session.screen)
    named = reference(project, train=train)
    chosen = {**project.variables(order.env), **order.gpu_variables()}
    request = None
    if not _at_hand(
        project, order
    ):  # nobody waits minutes for an environment, and then is told of a wrong name
        request = checked(order, context, project, named, train=train)
    environment = open_environment(project, no_env=order.no_env, screen=session.screen)
    variables = {
        **runtime.variables(project, environment, order.env),
        "LOG_FORMAT": "console",
        "COG_LOG_LEVEL": "debug" if session.debug else "off",
        **chosen,
        "COG_TRAIN_TYPE_STUB" if train else "COG_PREDICT_TYPE_STUB": named,
    }
    flags = (*FLAGS, "--x-mode", "train") if train else FLAGS
    server.order(project.folder, variables, flags)
    request = request or checked(order, context, project, named, train=train)
    server.release()
    return request


def _at_hand(project: Project, order: Order) -> bool:
    """Whether the environment of the model is there."""
    if order.no_env:
        return True
    from cog.environment.make import existing

    return existing(project.config, project.folder) is not None


def checked(
    order: Order, context: Mapping[str, str], project: Project, named: str, *, train: bool
) -> Request:
    """What the model is asked, held against its source."""
    from cog.cli.request import Request

    request = Request.read(order, context, train=train)
    version = None if order.no_env else project.config.build.python_version
    request.given.check(project.folder, named, numbers(version), train=train)
    return request


def numbers(version: str | None) -> tuple[int, int] | None:
    """`3.12.1` as (3, 12)."""
    major, minor, *_ = [*(version or "").split("."), ""]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def reference(project: Project, *, train: bool = False) -> str:
    """The model of `project`, as `run.py:Runner`; a variable that names another goes before cog.yaml.

    Raises:
        PredictorNotSet: there is none.
    """
    stub = os.environ.get("COG_TRAIN_TYPE_STUB" if train else "COG_PREDICT_TYPE_STUB")
    found = stub or (project.config.train if train else project.config.run)
    if found is None:
        key = 'train: "train.py:train"' if train else 'run: "run.py:Runner"'
        raise PredictorNotSet(f"{project.path} does not name what to run. Write `{key}` into it.")
    return found


def look(server: Runtime) -> None:
    """Raises:
    ModelFailed: the server has ended.
    """
    code = server.ended
    if code == 1:  # it has told what a person has to mend
        raise ModelFailed("The server of the model could not start. What it says of that stands above.")
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        why = " Usually the system ran out of memory: `dmesg` tells." if name == "SIGKILL" else ""
        raise ModelFailed(f"The server of the model was killed by {name}.{why}")
    if code is not None:
        raise ModelFailed(
            f"The server of the model ended unexpectedly, with exit code {code}. "
            "`cog --debug run` shows its log."
        )


@contextmanager
def told(server: Runtime) -> Iterator[None]:
    """A server of our own that cannot be reached is one that has ended; that is what is told then."""
    try:
        yield
    except ServerUnreachable:
        server.wait_ended(1.0)
        look(server)
        raise
