"""`cog run`: run the model of this folder, or one that is served, once."""

from __future__ import annotations

from typing import Any

import click

from cog.cli.inputs_help import ModelCommand
from cog.cli.main import Session
from cog.cli.order import Order, order_options


@click.command("run", cls=ModelCommand)
@order_options
@click.pass_obj
def command(session: Session, /, **options: Any) -> int:
    """Run the model of this folder once.

    Text and JSON go to stdout, files are written beside you, everything else goes to stderr. Ctrl-C cancels.

    \b
      cog run -i prompt="a photo of a cat"
      cog run -i image=@photo.jpg -i scale=2 -o large.png
      cog run --json @inputs.json
      cog run --url http://127.0.0.1:8393 -i prompt="a dog"
    """
    from cog.cli.performance import perform  # here: help and completion have no use for it

    return perform(Order(**options), session)
