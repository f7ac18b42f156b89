"""`cog predict`: the old name of `cog run`."""

from __future__ import annotations

from typing import Any

import click

from cog.cli.inputs_help import ModelCommand
from cog.cli.main import Session
from cog.cli.order import Order, order_options


@click.command("predict", cls=ModelCommand)
@order_options
@click.pass_obj
def command(session: Session, /, **options: Any) -> int:
    """The old name of `cog run`: the same, with a warning."""
    session.screen.warn('deprecated command "predict": use "run" instead')
    from cog.cli.performance import perform  # here: help and completion have no use for it

    return perform(Order(**options), session)
