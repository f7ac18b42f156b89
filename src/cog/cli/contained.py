"""A model in a container: started for one command, and gone with it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from cog.cli import containers
from cog.cli.main import Session
from cog.cli.order import Order
from cog.cli.project import Project, open_project
from cog.cli.screen import Screen
from cog.errors import ImageFailed, ModelFailed, ServerUnreachable, UsageError

if TYPE_CHECKING:
    from cog.client.model import RemoteModel
    from cog.image.engine import Engine, RunOrder

PORT: Final = 5000  # where a server listens in a container
ENDING: Final = (
    15.0  # seconds that a container gets to end in order; its server cancels what runs, its workers take 3
)
_LOOK: Final = 0.05  # seconds between two looks at a container that starts
# Asks Linux for a SIGTERM when this command is killed (PR_SET_PDEATHSIG of linux/prctl.h), and turns into the engine, which
# then ends its container.
_MORTAL: Final = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 15)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_SHOWN: Final = 20  # lines of a container that did not start


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


class Container:
    """A container that runs in the foreground of a process of ours. `url` is where its server is."""

    def __init__(
        self, engine: Engine, name: str, process: subprocess.Popen[bytes], url: str, written: IO[bytes]
    ) -> None:
        """`written` is the file that all its output goes to."""
        self.url = url
        self._engine = engine
        self._name = name
        self._process = process
        self._written = written

    def look(self) -> None:
        """Raises:
        ModelFailed: it has ended.
        """
        if self._process.poll() is not None:
            code = self._process.returncode
            raise ModelFailed(f"The container ended unexpectedly, with exit code {code}.{self._said()}")

    def wait(self, timeout: float) -> None:
        """Return when its server answers.

        Raises:
            ModelFailed: it has ended, or does not answer within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        parts = self.url.rpartition(":")
        while True:
            self.look()
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", int(parts[2])), 1.0) as probe,
            ):
                # Engines listen on a published port before the server in the container does.
                probe.settimeout(1.0)
                probe.sendall(b"GET /health-check HTTP/1.0\r\n\r\n")
                if probe.recv(1):
                    return
            if time.monotonic() > deadline:
                raise ModelFailed(
                    f"Timed out: no server answers in the container within {timeout:g} seconds.{self._said()}"
                )
            time.sleep(_LOOK)

    def _said(self) -> str:
        """The last lines of what it wrote, and what to do about it."""
        from cog.image import advice

        self._written.seek(0)
        text = self._written.read().decode("utf-8", "replace")
        shown = "".join(f"\n  {line}" for line in text.splitlines()[-_SHOWN:])
        return "\n".join([shown, *advice.of(text)])

    def end(self) -> None:
        """End it in order, and remove it in any case."""
        from cog.image import calls

        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()
        calls.answer(self._engine.remove(self._name))  # there is none any more, unless it was killed


@contextlib.contextmanager
def started(
    engine: Engine, image: str, own: Mapping[str, str], project: Project | None, *, gpus: str | None
) -> Iterator[Container]:
    """A container of `image` for the time of the block, with the folder of `project` at /src, if there is one.

    Its server is reached on a port of 127.0.0.1. It ends with the block, and when this command is killed.
    """
    from cog.image import names
    from cog.image.engine import RunOrder

    port = _free_port()
    order = RunOrder(
        image,
        names.passing("run"),
        env=tuple(own),
        publish=(f"127.0.0.1:{port}:{PORT}",),
        volumes=_mounted(project),
        gpus=gpus,
    )
    with tempfile.TemporaryFile() as written:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _MORTAL, *engine.run(order)],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,  # so that Ctrl-C on a terminal reaches only the command
        )
        container = Container(engine, order.name, process, f"http://127.0.0.1:{port}", written)
        try:
            yield container
        finally:
            container.end()


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
) -> NoReturn:
    """Turn into a container that serves the model of `project` at `address`, a host and a port."""
    from cog.image import names
    from cog.image.engine import RunOrder

    image = containers.development_image(project, engine, session.screen)
    order = RunOrder(
        image,
        names.passing("serve"),
        ("python", "-m", "cog.server.http", *flags) if flags else (),
        tuple(own),
        (f"{_numeric(address[0])}:{address[1]}:{PORT}",),
        _mounted(project),
        gpus(None, needed=project.config.build.gpu, screen=session.screen),
    )
    session.screen.say(f"The container serves the model at http://{address[0]}:{address[1]}")
    become(engine, order, own)


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
        _mounted(project),
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


def _mounted(project: Project | None) -> tuple[tuple[Path, str], ...]:
    return () if project is None else ((project.folder.resolve(), "/src"),)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
