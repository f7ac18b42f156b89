"""`cog completion`: prints what makes a shell complete cog's commands."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cog.cli.shells import SHELLS, script
from cog.errors import UsageError


@click.command()
@click.argument("shell", required=False, type=click.Choice(list(SHELLS)))
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> None:
    """Print what makes SHELL complete cog's commands, flags and the inputs of the model. Default: $SHELL.

    \b
    bash:  echo 'eval "$(cog completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(cog completion zsh)"' >> ~/.zshrc
    fish:  cog completion fish > ~/.config/fish/completions/cog.fish
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError(f"Which shell? Write one of {', '.join(SHELLS)}, for example: cog completion bash")
    click.echo(script(ctx.find_root().command, name), nl=False)
