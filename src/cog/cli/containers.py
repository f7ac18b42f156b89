"""What the commands for images share: the engine, the options of a build, and how a build is shown."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

import click

from cog.cli.project import Project
from cog.cli.screen import Screen
from cog.errors import UsageError

if TYPE_CHECKING:
    from cog.image.build import Watcher
    from cog.image.draft import Draft, Wishes
    from cog.image.engine import Engine

Command = TypeVar("Command", bound=Callable[..., object])

ENGINES: Final = ("docker", "podman", "buildah")

engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="What builds and runs images. Default: COG_ENGINE, else the first of these that works here.",
)
docker_option = click.option(
    "--docker",
    is_flag=True,
    help="In a container of the model's image, with this folder mounted at /src, in the place of an environment of this machine.",
)
progress_option = click.option(
    "--progress",
    type=click.Choice(("auto", "tty", "plain", "quiet")),
    help="How a build is shown: a live line (tty), every line of the engine (plain), or neither (quiet). Default: "
    "BUILDKIT_PROGRESS, else a live line on a terminal.",
)


def find_engine(wanted: str | None) -> Engine:
    """The container engine.

    Raises:
        EngineMissing: none works here.
    """
    from cog.image import choice

    return choice.find(wanted, os.environ)


def read_draft(project: Project, wishes: Wishes, screen: Screen) -> Draft:
    """What the image of `project` will be made of; its warnings are shown.

    Raises:
        CogError: no image can be made of it.
    """
    from cog.image import draft

    found = draft.read(project.config, project.folder, wishes, os.environ)
    for warning in found.warnings:
        screen.warn(warning)
    return found


@contextlib.contextmanager
def shown(draft: Draft, screen: Screen, progress: str | None) -> Iterator[Watcher]:
    """Who shows a build while the block lasts."""
    from cog.image.build import Watcher
    from cog.image.progress import Progress

    style = _style(progress, screen)
    known = Progress(draft.steps)
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(screen.working("Building")) if style == "tty" else None

        def heard(line: str) -> None:
            title = known.begun(line)
            if show is not None and title is not None:
                show(title)
            elif style == "plain":
                screen.note(line)

        def doing(text: str) -> None:
            if show is not None:
                show(text)
            elif style == "plain":
                screen.note(text)

        yield Watcher(heard, doing, screen.warn)


def _style(progress: str | None, screen: Screen) -> str:
    wanted = progress or os.environ.get("BUILDKIT_PROGRESS") or "auto"
    if wanted in ("plain", "quiet"):
        return wanted
    return "tty" if screen.lively else "plain"


def development_image(project: Project, engine: Engine, screen: Screen) -> str:
    """The name of an image with all that the model of `project` needs but its own files, built when there is none yet.

    Raises:
        ImageFailed: it cannot be built.
    """
    import hashlib

    from cog.image import build, names
    from cog.image.draft import Wishes

    draft = read_draft(project, Wishes(source=False), screen)
    key = hashlib.sha256(draft.dockerfile.encode()).hexdigest()[:12]
    name = f"{names.generated(project.folder)}-dev:{key}"
    if _is_there(engine, name):
        return name
    began = time.monotonic()
    if not screen.lively:
        screen.note("Building an image with all that the model needs")
    with shown(draft, screen, "auto" if screen.lively else "quiet") as watcher:
        build.build_layers(engine, draft, name, build.Manner(), watcher, os.environ)
    screen.succeed(f"Image ready in {time.monotonic() - began:.1f} s")
    return name


def _is_there(engine: Engine, image: str) -> bool:
    from cog.image import calls

    return calls.answer(engine.labels(image)).returncode == 0


def check_secrets(project: Project, given: tuple[str, ...]) -> None:
    """Raises:
    UsageError: a command of cog.yaml needs a secret that was not given, or one is written wrongly.
    """
    named = set()
    for text in given:
        parts = dict(part.partition("=")[::2] for part in text.split(","))
        if not parts.get("id"):
            raise UsageError(f"--secret {text}: write id=NAME,src=FILE or id=NAME,env=VARIABLE")
        named.add(parts["id"])
    wanted = [mount.id for step in project.config.build.run for mount in step.mounts]
    missing = [name for name in dict.fromkeys(wanted) if name not in named]
    if missing:
        raise UsageError(
            f"build.run of {project.path} reads the secret {missing[0]}, which was not given: add "
            f"`--secret id={missing[0]},src=FILE`, or `env=VARIABLE` in the place of src"
        )
