"""Commands whose model is in a container: it is asked once, served, or lends its surroundings to a command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cog.cli import containers
from cog.cli.container import PORT, Container, mounted, started
from cog.cli.main import Session
from cog.cli.order import Order
from cog.cli.project import Project, open_project
from cog.cli.screen import Screen
from cog.errors import ImageFailed, ServerUnreachable, UsageError

if TYPE_CHECKING:
    from cog.client.model import RemoteModel
    from cog.image.engine import Engine, RunOrder

HOST: Final = "host.docker.internal"  # this machine, as a container with that name for it sees it


def variables(session: Session, project: Project | None, env: tuple[str, ...]) -> dict[str, str]:
    """What a model in a container finds in its environment, beside what its image says."""
    own = {} if project is None else project.variables(env)
    if project is None:
        for text in env:
            name, equals, value = text.partition("=")
            own |= {name: value} if equals else {name: os.environ[name]} if name in os.environ else {}
    level = "debug" if session.debug else "warning"
    return {"LOG_FORMAT": "console", "COG_LOG_LEVEL": level, **own}


def gpus(wanted: str | None, *, needed: bool, screen: Screen) -> str | None:
    """What to ask the engine for: every GPU for a model that needs one, when there is a driver."""
    if wanted is not None:
        return None if wanted == "none" else wanted
    if not needed:
        return None
    if shutil.which("nvidia-smi") is None:
        screen.warn("the model asks for a GPU, and this machine has no driver of NVIDIA: it runs without one")
        return None
    return "all"


def ask(
    order: Order,
    session: Session,
    context: dict[str, str],
    reference: Callable[[Project], str],
    *,
    train: bool,
) -> None:
    """Start the image that `order` names, or with --docker one for the model of this folder; ask its model once.

    `reference` says what the model of a project is called.

    Raises:
        CogError: why it could not be done.
    """
    from cog.cli.prediction import Asking
    from cog.cli.request import Request
    from cog.client.connection import Connection
    from cog.client.model import RemoteModel

    engine = containers.find_engine(order.engine)
    request = Request.read(order, context, train=train)
    project = None
    if order.image is None:
        project = open_project(order.file, session.screen)
        request.given.check(project.folder, reference(project), None, train=train)
        image = containers.development_image(project, engine, session.screen)
    else:
        image = order.image
        _check_input(request.given, _schema(engine, image), train=train)
    needed = project is not None and project.config.build.gpu
    chosen = gpus(order.gpus, needed=needed, screen=session.screen)
    own = {**variables(session, project, order.env), "COG_MAX_BODY": "4GiB", "COG_DRAIN_TIMEOUT": "0"}
    with started(engine, image, own, project, gpus=chosen) as container:
        with session.screen.working("Starting the container"):
            container.wait(order.setup_timeout)
        model = RemoteModel(Connection(container.url))
        _set_up(model, container, order.setup_timeout, session.screen)
        Asking(model, session.screen, look=container.look).ask(request)
        model.connection.close()


def _set_up(model: RemoteModel, container: Container, timeout: float, screen: Screen) -> None:
    """Return when it is done; what the model prints meanwhile is shown.

    Raises:
        ModelFailed: it fails, or takes too long.
    """
    shown = 0

    def show() -> None:
        nonlocal shown
        logs = model.setup_logs()
        screen.write(logs[shown:])
        shown = len(logs)

    def look() -> None:
        container.look()
        show()

    with screen.working("Setting up"):
        try:
            model.wait_ready(timeout, look)
        finally:
            with contextlib.suppress(ServerUnreachable):
                show()


def _schema(engine: Engine, image: str) -> Any:
    """The OpenAPI document that an image says of itself; None where it is not here yet, or does not say."""
    from cog.image import calls
    from cog.image.labels import PREFIX

    done = calls.answer(engine.labels(image))
    with contextlib.suppress(ValueError):
        found = json.loads(done.stdout) if done.returncode == 0 else None
        return json.loads(found[f"{PREFIX}openapi_schema"]) if found else None
    return None


def _check_input(given: Any, document: Any, *, train: bool) -> None:
    """Hold the input against what the image says of itself, before a container starts.

    Raises:
        InputError: its model refuses this.
    """
    if isinstance(document, dict):
        from cog.client import interface

        given.fit(document, interface.read(document, train=train).component, None)


def become(engine: Engine, order: RunOrder, own: Mapping[str, str]) -> NoReturn:
    """Turn into the engine that runs the container: so its signals, its terminal and its exit code are its own."""
    command = engine.run(order)
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two for itself
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, {**os.environ, **own})
    except OSError as error:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        raise ImageFailed(f"{command[0]} cannot be started: {error.strerror}") from None


def serve(
    session: Session,
    project: Project,
    engine: Engine,
    own: Mapping[str, str],
    address: tuple[str, int],
    flags: Sequence[str],
    *,
    outside: bool = False,
) -> NoReturn:
    """Turn into a container that serves the model of `project` at `address`, a host and a port.

    With `outside` it finds this machine by the name host.docker.internal.
    """
    from cog.image import names
    from cog.image.engine import RunOrder

    image = containers.development_image(project, engine, session.screen)
    order = RunOrder(
        image,
        names.passing("serve"),
        ("python", "-m", "cog.server.http", *flags) if flags else (),
        tuple(own),
        (f"{_numeric(address[0])}:{address[1]}:{PORT}",),
        mounted(project),
        _outside(engine, image, session.screen) if outside else (),
        gpus(None, needed=project.config.build.gpu, screen=session.screen),
    )
    session.screen.say(f"The container serves the model at http://{address[0]}:{address[1]}")
    become(engine, order, own)


def _outside(engine: Engine, image: str, screen: Screen) -> tuple[tuple[str, str], ...]:
    """How a container of `image` finds this machine: a name, and the address of it there."""
    from cog.image import calls, names
    from cog.image.engine import RunOrder

    if engine.outside is None:
        return ((HOST, "host-gateway"),)
    asked = RunOrder(image, names.passing("host"), ("getent", "hosts", engine.outside))
    found = calls.answer(engine.run(asked)).stdout.split()
    if not found:
        screen.warn(f"no container knows this machine here: {HOST} is no name in it")
        return ()
    return ((HOST, found[0]),)


def execute(
    session: Session,
    project: Project,
    engine: Engine,
    own: Mapping[str, str],
    command: tuple[str, ...],
    *,
    ports: tuple[str, ...],
    wanted: str | None,
) -> NoReturn:
    """Turn into a container that runs `command` in the folder of `project`."""
    from cog.image import names
    from cog.image.engine import RunOrder

    image = containers.development_image(project, engine, session.screen)
    order = RunOrder(
        image,
        names.passing("exec"),
        command,
        tuple(own),
        tuple(map(published, ports)),
        mounted(project),
        (),
        gpus(wanted, needed=project.config.build.gpu, screen=session.screen),
        stdin=True,
        tty=sys.stdin.isatty() and sys.stdout.isatty(),
    )
    become(engine, order, own)


def published(text: str) -> str:
    """`8888` as `127.0.0.1:8888:8888`; `0.0.0.0:8888` as `0.0.0.0:8888:8888`.

    Raises:
        UsageError: it is no port.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"-p {text}: write a port, or HOST:PORT, such as 8888 or 0.0.0.0:8888")
    return f"{host or '127.0.0.1'}:{port}:{port}"


def _numeric(host: str) -> str:
    """`localhost` as 127.0.0.1: engines publish ports at addresses."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    return f"[{found[4][0]}]" if found[0] == socket.AF_INET6 else str(found[4][0])
