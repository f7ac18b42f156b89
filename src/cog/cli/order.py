"""What was asked of `cog run`, `predict` and `train`: the options that they share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import click

from cog.cli.containers import docker_option, engine_option
from cog.cli.project import env_option, file_option, no_env_option
from cog.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., object])

SETUP_TIMEOUT: Final = 300.0
_TOKEN: Final = "REPLICATE_API_TOKEN"


@dataclass(frozen=True, slots=True)
class Order:
    """The command line of one run, as it was typed."""

    image: str | None
    items: tuple[str, ...]
    json: str | None
    output: str | None
    env: tuple[str, ...]
    file: str | None
    no_env: bool
    url: str | None
    setup_timeout: float
    use_replicate_token: bool
    gpus: str | None
    docker: bool = False
    engine: str | None = None

    @property
    def contained(self) -> bool:
        """Whether the model runs in a container."""
        return self.docker or self.image is not None

    def check(self) -> None:
        """Refuse what cannot go together.

        Raises:
            UsageError: what, and what to type instead.
        """
        if not self.setup_timeout > 0:
            raise UsageError(f"--setup-timeout {self.setup_timeout:g}: write a number of seconds above 0")
        if self.image is not None and "=" in self.image:
            raise UsageError(f"{self.image} looks like an input: write -i {self.image}")
        if self.image is not None:
            beside = {"--docker": self.docker, "--url": self.url, "-f": self.file, "--no-env": self.no_env}
            if given := [flag for flag, value in beside.items() if value]:
                raise UsageError(
                    f"{' and '.join(given)} and the image {self.image} exclude each other: leave one of them out"
                )
        if self.items and self.json is not None:
            raise UsageError("-i and --json exclude each other: put all inputs into the object of --json")
        if self.url is not None:
            here = {"-e": self.env, "-f": self.file, "--no-env": self.no_env, "--gpus": self.gpus}
            here["--docker"] = self.docker
            if given := [flag for flag, value in here.items() if value]:
                raise UsageError(
                    f"{' and '.join(given)} say how a model is started here, but --url names one that runs already"
                )

    def context(self) -> dict[str, str]:
        """What the model finds in `current_scope().context`.

        Raises:
            UsageError: the token that is to go there is not set.
        """
        if not self.use_replicate_token:
            return {}
        token = os.environ.get(_TOKEN)
        if not token:
            raise UsageError(
                f"--use-replicate-token: the variable {_TOKEN} is not set. Set it to your token."
            )
        return {"replicate_api_token": token}

    def gpu_variables(self) -> dict[str, str]:
        """What `--gpus` means to a process that needs no container to see them.

        Raises:
            UsageError: it means nothing.
        """
        wanted = None if self.gpus is None else self.gpus.strip('"')
        if wanted is None or wanted == "all":
            return {}
        if wanted == "none":
            return {"CUDA_VISIBLE_DEVICES": ""}
        if wanted.isdecimal():
            return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(int(wanted))))}
        devices = wanted.removeprefix("device=")
        if not devices or (devices == wanted and "," not in devices):
            raise UsageError(f"--gpus {self.gpus}: write all, none, how many, or which: --gpus device=0,2")
        return {"CUDA_VISIBLE_DEVICES": devices}


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from cog.cli.candidates import complete_input  # here: a run has no use for it

    return complete_input(ctx, param, incomplete)


def order_options(command: Command) -> Command:
    """Give `command` the options that make an `Order`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


input_option = click.option(
    "-i", "--input", "items", multiple=True, metavar="NAME=VALUE", shell_complete=_complete,
    help="An input. NAME=@FILE is a file's content; the same NAME again makes a list.",
)  # fmt: skip
setup_timeout_option = click.option(
    "--setup-timeout", type=float, metavar="SECONDS", default=SETUP_TIMEOUT,
    help=f"How long the model may take to be ready. Default: {SETUP_TIMEOUT:g}.",
)  # fmt: skip
gpus_option = click.option(
    "--gpus", metavar="GPUS",
    help="Which GPUs the model sees: all, none, how many, or device=0,2. Default: all.",
)  # fmt: skip

_OPTIONS: Final[tuple[Callable[[Command], Command], ...]] = (
    click.argument("image", required=False),
    input_option,
    click.option(
        "--json", "json", metavar="JSON",
        help="All inputs as one JSON object, @FILE, or - for stdin. The whole response is then the result, as JSON.",
    ),
    click.option(
        "-o", "--output", "output", metavar="PATH",
        help="Where the result goes: a file or a folder. Default: text and JSON to stdout, files to output.EXT.",
    ),
    env_option,
    file_option,
    no_env_option,
    docker_option,
    engine_option,
    click.option("--url", metavar="URL", help="Use the server that runs there; nothing is started here."),
    setup_timeout_option,
    click.option(
        "--use-replicate-token", is_flag=True,
        help=f"Give the model {_TOKEN}, as replicate_api_token of its context.",
    ),
    gpus_option,
)  # fmt: skip
