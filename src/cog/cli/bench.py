"""`cog bench`: load the model of this folder, or one that is served, and say what to set because of it."""

from __future__ import annotations

from typing import Any, Final

import click

from cog.cli.inputs_help import ModelCommand
from cog.cli.main import Session
from cog.cli.order import Order, gpus_option, input_option, setup_timeout_option
from cog.cli.project import env_option, file_option, no_env_option

_MOST: Final = 4096  # of anything that is tried
_BARE: Final = "\0"  # what `--json` without a value means; nobody can type it


class Numbers(click.ParamType[tuple[int, ...]]):
    """Several numbers from 1 on: `1,2,4`. Each counts once; they are tried from the smallest to the largest."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers of a text."""
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isascii() and word.isdecimal() and 1 <= int(word[:6]) <= _MOST for word in words):
            self.fail(f"{value!r}: write numbers from 1 to {_MOST:,}, such as 1,2,4", param, ctx)
        return tuple(sorted(map(int, set(words))))


@click.command("bench", cls=ModelCommand, short_help="Measure the model under load")
@input_option
@click.option(
    "--json",
    "json",
    metavar="[JSON]",
    is_flag=False,
    flag_value=_BARE,
    help="Results as JSON on stdout. With a value this is the input too, as for cog run: a JSON object, @FILE, or - for stdin.",
)
@click.option(
    "--concurrency",
    type=Numbers(),
    metavar="N,N",
    help="How many requests at a time to try. Default: 1, 2, 4, 8 and so on until throughput grows no more.",
)
@click.option(
    "--threads",
    "--workers",
    "threads",
    type=Numbers(),
    metavar="N,N",
    help="How many processes of the model to try, each with its own copy. Default: as many as cog serve starts.",
)
@click.option(
    "--batch-size",
    "batches",
    type=Numbers(),
    metavar="N,N",
    help="The largest batches to try, of a model with @batch. Default: a few up to its own max_size.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.1, 86400),
    metavar="SECONDS",
    default=5.0,
    show_default="5",
    help="How long each step takes. Of a slow model it waits for three predictions one after the other.",
)
@click.option(
    "--requests",
    type=click.IntRange(1),
    metavar="N",
    help="End each step after so many requests, in the place of a duration.",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    default="bench.html",
    show_default=True,
    help="Where the report goes: a file or a folder.",
)
@env_option
@file_option
@no_env_option
@click.option("--url", metavar="URL", help="Measure the server that runs there; nothing is started here.")
@setup_timeout_option
@gpus_option
@click.pass_obj
def command(
    session: Session,
    /,
    json: str | None,
    concurrency: tuple[int, ...] | None,
    threads: tuple[int, ...] | None,
    batches: tuple[int, ...] | None,
    duration: float,
    requests: int | None,
    **options: Any,
) -> int:
    """Measure the model of this folder under load.

    Tries more and more requests at a time, shows throughput and latency as they are measured, and writes a report with
    plots and the settings that it recommends. Ctrl-C ends it early; the report then has what was measured.

    \b
      cog bench -i prompt="a photo of a cat"
      cog bench -i image=@photo.jpg --threads 1,2,4
      cog bench --url http://127.0.0.1:8393 -i prompt="a dog" --concurrency 8,16
    """
    from cog.cli.benchmark import perform  # here: help and completion have no use for it
    from cog.cli.sweep import Wishes

    wishes = Wishes(concurrency, threads or (), batches or (), duration, requests, as_json=json is not None)
    given = None if json == _BARE else json
    order = Order(image=None, json=given, use_replicate_token=False, **options)
    return perform(wishes, order, session)
