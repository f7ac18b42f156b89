"""`cog build`: the image of the model of this folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cog.cli import containers, interruption
from cog.cli.main import Session
from cog.cli.project import Project, file_option, open_project
from cog.cli.screen import Screen
from cog.errors import UsageError

if TYPE_CHECKING:
    from cog.image.draft import Draft
    from cog.image.engine import Engine

Command = TypeVar("Command", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class BuildFlags:
    """What was asked of `cog build` and `cog push`: the options that they share."""

    file: str | None
    no_cache: bool
    secrets: tuple[str, ...]
    progress: str | None
    openapi_schema: str | None
    skip_schema_validation: bool
    use_cuda_base_image: str
    user: str | None
    keep_ca_cert: bool
    explain: bool
    engine: str | None
    separate_weights: bool
    use_cog_base_image: bool | None
    dockerfile: str | None
    timestamp: int | None
    strip: bool
    precompile: bool

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises:
            UsageError: what, and what to do instead.
        """
        if self.dockerfile is not None:
            raise UsageError(
                "--dockerfile: an image of another Dockerfile is not cog's to build. `cog debug` prints the one that "
                "cog uses; change that, and build it with the engine itself"
            )


def build_options(command: Command) -> Command:
    """Give `command` the options that make `BuildFlags`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Final[tuple[Callable[[Command], Command], ...]] = (
    file_option,
    click.option("--no-cache", is_flag=True, help="Make every layer anew."),
    click.option(
        "--secret", "secrets", multiple=True, metavar="id=NAME,src=FILE",
        help="A secret that a command of build.run reads; `env=VARIABLE` takes it from a variable. It is not in the image.",
    ),
    containers.progress_option,
    click.option(
        "--openapi-schema", metavar="FILE",
        help="The model's OpenAPI document. Without it the model in the image is asked, which imports it.",
    ),
    click.option(
        "--use-cuda-base-image", type=click.Choice(("auto", "true", "false")), default="auto", show_default=True,
        help="Begin with NVIDIA's image that has CUDA. auto: when build.gpu is true.",
    ),
    click.option(
        "--user", metavar="NAME",
        help="Whom the model runs as; made in the image when it does not exist. Default: build.user, else root.",
    ),
    click.option("--keep-ca-cert", is_flag=True, help="Let the image trust COG_CA_CERT too, and not only the build."),
    click.option("--explain", is_flag=True, help="Tell what each layer weighs, and what it is for."),
    containers.engine_option,
    click.option("--separate-weights", is_flag=True, help="[compat] Weights have a layer of their own, always."),
    click.option(
        "--use-cog-base-image/--no-use-cog-base-image", default=None, hidden=True, help="[compat] Accepted: there is none."
    ),
    click.option("--dockerfile", hidden=True, metavar="FILE"),
    click.option("--timestamp", type=int, hidden=True, metavar="SECONDS", help="[compat] SOURCE_DATE_EPOCH for this build."),
    click.option("--strip", is_flag=True, hidden=True, help="[compat] Accepted, without effect."),
    click.option("--precompile", is_flag=True, hidden=True, help="[compat] Accepted, without effect."),
    click.option("--skip-schema-validation", is_flag=True, hidden=True, help="[compat] Do not ask the model what it accepts."),
)  # fmt: skip


@click.command("build", short_help="Build an image of the model")
@click.option(
    "-t",
    "--tag",
    metavar="NAME",
    help="The image's name. Default: `image` or `model` of cog.yaml, else cog-FOLDER.",
)
@build_options
@click.pass_obj
def command(session: Session, /, tag: str | None, **options: Any) -> int:
    """Build an image of the model of this folder.

    Its containers serve the model on port 5000. The server has an environment of its own in the image, so the model's
    packages are the model's alone. What has not changed since the last build is not made again.

    \b
      cog build -t my-model
      docker run -p 5001:5000 my-model
      curl localhost:5001/predictions --json '{"input": {"prompt": "a dog"}}'
    """
    with interruption.terminable():
        try:
            perform(BuildFlags(**options), tag, session.screen)
        except KeyboardInterrupt as interrupt:
            session.screen.say("Canceled")
            return interruption.exit_code(interrupt)
    return 0


@dataclass(frozen=True, slots=True)
class Built:
    """An image that is there: what it is called, what it was made of, and by which engine."""

    name: str
    draft: Draft
    engine: Engine


def perform(
    flags: BuildFlags, tag: str | None, screen: Screen, labels: Mapping[str, str] | None = None
) -> Built:
    """Build it. `labels` are put on it beside those that every image has.

    Raises:
        CogError: why it could not be done.
    """
    from cog.image import names

    flags.check()
    project = open_project(flags.file, screen)
    name = names.of(project.config, project.folder, tag)
    containers.check_secrets(project, flags.secrets)
    draft = _draft(flags, project, screen)
    engine = containers.find_engine(flags.engine)
    began = time.monotonic()
    _build(flags, draft, engine, name, labels or {}, screen)
    if flags.explain:
        _explain(draft, engine, name)
    screen.succeed(f"Image built as {name} in {time.monotonic() - began:.1f} s")
    return Built(name, draft, engine)


def _draft(flags: BuildFlags, project: Project, screen: Screen) -> Draft:
    from cog.image.draft import Wishes

    wishes = Wishes(flags.use_cuda_base_image, flags.user, flags.keep_ca_cert)  # type: ignore[arg-type]
    draft = containers.read_draft(project, wishes, screen)
    for note in draft.packages.notes:
        screen.note(f"{note}")
    return draft


def _build(
    flags: BuildFlags, draft: Draft, engine: Engine, name: str, labels: Mapping[str, str], screen: Screen
) -> None:
    from cog.image import build

    environ = dict(os.environ)
    if flags.timestamp is not None and flags.timestamp >= 0:
        environ["SOURCE_DATE_EPOCH"] = str(flags.timestamp)
    manner = build.Manner(
        flags.secrets, flags.no_cache, flags.openapi_schema, not flags.skip_schema_validation, labels
    )
    with containers.shown(draft, screen, flags.progress) as watcher:
        build.build(engine, draft, name, manner, watcher, environ)


def _explain(draft: Draft, engine: Engine, name: str) -> None:
    from cog.image import layers

    found = layers.weigh(engine, name, draft.steps)
    rows = [*((layers.shown(each.size), each.why) for each in found)]
    rows.append((layers.shown(sum(each.size for each in found)), "in all"))
    for size, why in rows:
        click.echo(f"{size:>9}  {why}")
