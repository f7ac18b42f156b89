"""The page of the command line, made from the commands themselves."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from cog.cli.main import SECTIONS, Entry, cog

_PAGE: Final = """\
# The command line

Made from the commands themselves; `cog COMMAND --help` says the same. In a model's folder `cog run --help` lists that
model's inputs as well.

- Results go to stdout, everything else to stderr. So `cog run ... > file` and `cog run ... | other` get the output alone.
- Exit codes: 0, 1 for any error, 130 after Ctrl-C. `cog exec` ends with the code of its command.
- Colours and the live line need a terminal, and none of `NO_COLOR`, `COG_NO_COLOR`, `TERM=dumb` and `--no-color`.
- A `cog.yaml` is looked for in this folder and in up to 100 above it; `-f` names another.

## cog

```text title="Usage"
{usage}
```

{options}
{commands}"""


def commands_page() -> str:
    """The whole page. A command whose module is not there is left out."""
    context = click.Context(cog, info_name="cog")
    commands = [
        part
        for title, entries in SECTIONS.items()
        for part in _section(title, [entry for entry in entries if not entry.hidden], context)
    ]
    hidden = [entry for entries in SECTIONS.values() for entry in entries if entry.hidden]
    commands += _section("Not listed by cog --help", hidden, context)
    return _PAGE.format(
        usage=_usage(cog, context), options=_options(cog, context), commands="\n".join(commands)
    )


def _section(title: str, entries: list[Entry], parent: click.Context) -> Iterator[str]:
    found = [(entry, command) for entry in entries if (command := _command(entry)) is not None]
    if not found:
        return
    yield f"## {title}\n"
    for entry, command in found:
        context = click.Context(command, info_name=entry.name, parent=parent)
        yield f'### cog {entry.name}\n\n{_help(command, entry)}\n\n```text title="Usage"\n{_usage(command, context)}\n```\n'
        if options := _options(command, context):
            yield options


def _command(entry: Entry) -> click.Command | None:
    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        if error.name == entry.module:
            return None
        raise
    command: click.Command = module.command
    return command


def _help(command: click.Command, entry: Entry) -> str:
    """The help as Markdown: what click is told not to wrap (`\b`) is shown as it is."""
    parts = inspect.cleandoc(command.help or f"{entry.help}.").split("\f")[0].strip().split("\n\n")
    kept = [
        part if not part.startswith("\b\n") else f'```text title="Usage"\n{textwrap.dedent(part[2:])}\n```'
        for part in parts
    ]
    return "\n\n".join(kept)


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def _options(command: click.Command, context: click.Context) -> str:
    """The table of options, as `--help` words them; hidden ones too, since scripts may use them."""
    rows = []
    for option in command.get_params(context):
        if not isinstance(option, click.Option) or ("--help" in option.opts and context.parent is not None):
            continue
        hidden, option.hidden = option.hidden, False
        record = option.get_help_record(context)
        option.hidden = hidden
        if record is not None:
            help = record[1] or ("Not listed by --help." if hidden else "")
            # A bar would end the cell.
            rows.append(f"| `{record[0].replace('|', '/')}` | {help.replace('|', '/')} |".replace("\n", " "))
    if not rows:
        return ""
    return "\n".join(["| option | |", "| --- | --- |", *rows]) + "\n"
