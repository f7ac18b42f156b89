"""`cog push`: the image of the model, into a registry."""

from __future__ import annotations

import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cog.cli import interruption
from cog.cli.build import BuildFlags, Built, build_options, perform
from cog.cli.main import Session
from cog.cli.project import open_project
from cog.cli.screen import Screen
from cog.errors import ImageFailed, UsageError

if TYPE_CHECKING:
    from cog.image.engine import Engine

PUSH_ID: Final = "run.cog.push_id"
# [compat] How Cog sends layers when it does so itself; here the engine does, which has settings of its own.
IDLE: Final = (
    "COG_PUSH_OCI",
    "COG_PUSH_CONCURRENCY",
    "COG_PUSH_DEFAULT_CHUNK_SIZE",
    "COG_PUSH_MULTIPART_THRESHOLD",
)
_AT_A_TIME: Final = {
    "docker": "`max-concurrent-uploads` in its daemon.json",
    "podman": "`image_parallel_copies` in containers.conf",
    "buildah": "`image_parallel_copies` in containers.conf",
}
# Seconds before each further try. Registries are busy for moments, and networks fail for moments.
PAUSES: Final = (1.0, 2.0, 4.0)
# Another try changes nothing about these.
_FINAL: Final = re.compile(
    r"unauthorized|denied|forbidden|authentication required|not found: manifest|invalid reference|no basic auth"
    r"|server gave HTTP response to HTTPS client|certificate|no such host",
    re.IGNORECASE,
)


@click.command("push", short_help="Build the image and push it to a registry")
@build_options
@click.argument("image", required=False)
@click.pass_obj
def command(session: Session, /, image: str | None, **options: Any) -> int:
    """Build the image of the model of this folder, and push it to the registry in its name.

    IMAGE is its name, such as registry.example.com/me/model; without it `image` or `model` of cog.yaml. `cog login` comes
    before.
    """
    with interruption.terminable():
        try:
            flags = BuildFlags(**options)
            name = _name(flags, image, session.screen)
            labels = {PUSH_ID: str(uuid.uuid4())}
            built = perform(flags, name, session.screen, labels)
            _warn(built.engine, session.screen)
            digest = _push(built, session.screen)
            _tell(built, digest, labels, session.screen)
        except KeyboardInterrupt as interrupt:
            session.screen.say("Canceled")
            return interruption.exit_code(interrupt)
    return 0


def _name(flags: BuildFlags, image: str | None, screen: Screen) -> str:
    """Where it goes, known before anything is built."""
    import io

    project = open_project(flags.file, Screen(io.StringIO(), lively=False))  # the build warns of the same
    if image is not None and project.config.model is not None:
        raise UsageError(
            f"{project.path} says `model: {project.config.model}`, and that is where it goes: leave {image} out"
        )
    name = image or project.config.image or project.config.model
    if name is None:
        raise UsageError(
            "where to? Write `cog push registry.example.com/me/model`, or `image: registry.example.com/me/model` into cog.yaml"
        )
    return name


def _warn(engine: Engine, screen: Screen) -> None:
    """Say which variables of Cog's own way to push decide nothing, since the engine pushes."""
    given = [name for name in IDLE if os.environ.get(name)]
    if given:
        verb = "has" if len(given) == 1 else "have"
        screen.warn(
            f"{' and '.join(given)} {verb} no effect: {engine.name} pushes, in its own way. How many layers it sends at a "
            f"time is {_AT_A_TIME[engine.name]}"
        )


def _push(built: Built, screen: Screen) -> str | None:
    """Send it; gives its digest, if the engine tells.

    Raises:
        ImageFailed: the registry does not take it.
    """
    from cog.image import pushed

    began = time.monotonic()
    printed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cog-push-") as folder:
        file = Path(folder) / "digest"
        with screen.working(f"Pushing {built.name}") as show:

            def heard(line: str) -> None:
                if line:
                    printed.append(line)
                    show(f"Pushing {built.name}: {line}")
                    if not screen.lively:
                        screen.note(line)

            _try(built.engine.push(built.name, file), built.name, heard, screen)
        written = file.read_text() if file.exists() else ""
    screen.succeed(f"Pushed {built.name} in {time.monotonic() - began:.1f} s")
    return pushed.digest(written, printed)


def _try(command: list[str], name: str, heard: Callable[[str], None], screen: Screen) -> None:
    """Push, and once more after each pause while that may help."""
    from cog.image import calls

    for pause in (*PAUSES, None):
        try:
            calls.follow(command, heard)
            return
        except ImageFailed as error:
            if pause is None or _FINAL.search(str(error)):
                raise ImageFailed(_refused(name, str(error))) from None
            screen.warn(f"the registry did not take it; the next try is in {pause:g} s")
            time.sleep(pause)


def _tell(built: Built, digest: str | None, labels: Mapping[str, str], screen: Screen) -> None:
    """What is in the registry now, and where a browser shows it."""
    from cog.image import layers, pushed

    weighed = layers.weigh(built.engine, built.name, built.draft.steps)
    screen.say(pushed.tree(built.name, digest, labels, weighed))
    if (page := pushed.page(built.name, os.environ)) is not None:
        screen.say(page)


def _refused(name: str, said: str) -> str:
    advice = "Is the name right, and the registry there?"
    if re.search(r"unauthorized|denied|forbidden|authentication|basic auth", said, re.IGNORECASE):
        advice = f"`cog login {name.partition('/')[0]}` tells it who you are."
    return f"{name} cannot be pushed. {advice}\n\n{said}"
