"""What a shell may write in the place of a word that is not complete: the model's inputs, files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MOST_PATHS: Final = 500


def complete_input(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """What may follow the `-i` of `cog run` or `cog train`: the inputs as `name=`, their choices, files behind `name=@`.

    The model is read, not run. Nothing is offered where it cannot be read.
    """
    from click.shell_completion import CompletionItem

    name, at, begun = incomplete.partition("=@")
    if at:
        return [CompletionItem(f"{name}=@{found}") for found in paths(begun)]
    from cog.cli.inputs_help import ModelCommand
    from cog.client.input_help import complete_names
    from cog.config.parse import load, locate
    from cog.outline.reading import read

    path = locate(ctx.params.get("file"))
    config = load(path, check_files=False)
    command = ctx.command
    if not isinstance(command, ModelCommand) or (reference := command.reference(config)) is None:
        return []
    outline = read(path.parent, reference, train=command.train)
    return [CompletionItem(text, help=help) for text, help in complete_names(outline, incomplete)]


def paths(begun: str) -> Iterator[str]:
    """The files and folders (with a slash) whose path begins with `begun`; hidden ones if it asks for them."""
    head, _, tail = begun.rpartition("/")
    folder = Path(f"{head}/" if "/" in begun else ".").expanduser()
    before = f"{head}/" if "/" in begun else ""
    try:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in os.scandir(folder))
    except OSError:
        return
    matching = (name for name in names if name.startswith(tail) and (tail or not name.startswith(".")))
    yield from (before + name for name in islice(matching, _MOST_PATHS))
