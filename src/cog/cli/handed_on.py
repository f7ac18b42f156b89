"""Options of the server that a command takes for it: stated in `cog.settings`, and shown, checked and handed on here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from cog.settings.options import OPTIONS, Option

Command = TypeVar("Command", bound=Callable[..., Any])

# How much is served at a time. What else the server can be told is in its variables.
SERVING: Final = (
    "workers", "gpus", "max_queue", "queue_timeout", "max_batch_size", "max_batch_wait", "predict_timeout", "busy_poll",
    "max_predictions_per_worker", "max_worker_memory",
)  # fmt: skip


def server_options(command: Command) -> Command:
    """A decorator: the command takes the options of SERVING, as texts that the server can read, None for what was not
    given."""
    known = {option.name: option for option in OPTIONS}
    for name in reversed(SERVING):
        command = _option(known[name])(command)
    return command


def _option(option: Option) -> Callable[[Command], Command]:
    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is not None:
            try:
                option.parse(value)
            except ValueError as error:
                raise click.BadParameter(str(error)) from None
        return value

    assert option.flag is not None
    return click.option(option.flag, option.name, metavar=option.metavar, callback=check, help=option.help)


def flags_of(given: dict[str, str | None]) -> list[str]:
    """What was given, as the server's command line."""
    known = {option.name: option for option in OPTIONS}
    return [
        word for name, value in given.items() if value is not None for word in (known[name].flag or "", value)
    ]
