"""`cog push`: the image of the model, into a registry."""

from __future__ import annotations

import re
import time
from typing import Any, Final

import click

from cog.cli import interruption
from cog.cli.build import BuildFlags, build_options, perform
from cog.cli.main import Session
from cog.cli.project import open_project
from cog.cli.screen import Screen
from cog.errors import ImageFailed, UsageError

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
            engine, name = perform(flags, name, session.screen)
            _push(engine.push(name), name, session.screen)
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


def _push(command: list[str], name: str, screen: Screen) -> None:
    from cog.image import calls

    began = time.monotonic()
    with screen.working(f"Pushing {name}") as show:

        def heard(line: str) -> None:
            if line:
                show(f"Pushing {name}: {line}")
                if not screen.lively:
                    screen.note(line)

        for pause in (*PAUSES, None):
            try:
                calls.follow(command, heard)
                break
            except ImageFailed as error:
                if pause is None or _FINAL.search(str(error)):
                    raise ImageFailed(_refused(name, str(error))) from None
                screen.warn(f"the registry did not take it; the next try is in {pause:g} s")
                time.sleep(pause)
    screen.succeed(f"Pushed {name} in {time.monotonic() - began:.1f} s")


def _refused(name: str, said: str) -> str:
    advice = "Is the name right, and the registry there?"
    if re.search(r"unauthorized|denied|forbidden|authentication|basic auth", said, re.IGNORECASE):
        advice = f"`cog login {name.partition('/')[0]}` tells it who you are."
    return f"{name} cannot be pushed. {advice}\n\n{said}"
