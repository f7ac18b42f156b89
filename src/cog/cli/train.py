"""`cog train`: run the training function of this folder once."""

from __future__ import annotations

from typing import Any

import click

from cog.cli.inputs_help import TrainCommand
from cog.cli.main import Session
from cog.cli.order import Order, order_options


@click.command("train", cls=TrainCommand)
@order_options
@click.pass_obj
def command(session: Session, /, **options: Any) -> int:
    """Train the model of this folder, with the function that `train` of cog.yaml names.

    \b
      cog train -i data=@texts.zip -i steps=100 -o weights
    """
    session.screen.warn('deprecated command "train": use "exec" with a script of your own instead')
    from cog.cli.performance import perform  # here: help and completion have no use for it

    return perform(Order(**options), session, train=True)
