"""`cog`: finds the command, and turns whatever goes wrong into a text and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import click

from cog.cli.screen import Screen
from cog.errors import CogError
from cog.version import __version__


class Entry(NamedTuple):
    """One command: its module holds it as `command`. A hidden one is not listed."""

    name: str
    help: str
    module: str
    hidden: bool = False


# A command's module is imported when it is called, so that `cog --help` need not wait for what only one of them uses.
SECTIONS: Final[dict[str, tuple[Entry, ...]]] = {
    "A model": (
        Entry("init", "Write a new model into this folder", "cog.cli.init"),
        Entry("run", "Run the model once", "cog.cli.run"),
        Entry("serve", "Serve the model over HTTP", "cog.cli.serve"),
        Entry("exec", "Run a command in the model's environment", "cog.cli.exec"),
        Entry("predict", "The old name of run", "cog.cli.predict", hidden=True),
        Entry("train", "Train the model", "cog.cli.train", hidden=True),
    ),
    "Help": (
        Entry("doctor", "Look over the project and mend it", "cog.cli.doctor"),
        Entry("completion", "Print what makes a shell complete cog's commands", "cog.cli.completion"),
        Entry("debug", "Show what cog makes of this folder", "cog.cli.debug", hidden=True),
    ),
}
ENTRIES: Final = {entry.name: entry for section in SECTIONS.values() for entry in section}


@dataclass(frozen=True, slots=True)
class Session:
    """What every command gets: where to write, and how much to say."""

    screen: Screen
    debug: bool


class Commands(click.Group):
    """The commands, imported when they are needed and listed in sections."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, also of those that are not listed."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The sections."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(entry.name, entry.help) for entry in entries if not entry.hidden])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with `cog init`, then `cog run`. `cog COMMAND --help` says more of each.",
)
@click.option("--debug", is_flag=True, help="Say more, and show tracebacks of cog itself.")
@click.option("--no-color", is_flag=True, help="Write plain text, as without a terminal. So does NO_COLOR.")
@click.option("--profile", is_flag=True, hidden=True, help="[compat] Accepted, without effect.")
@click.option("--registry", metavar="HOST", hidden=True, help="[compat] Accepted, without effect yet.")
@click.version_option(__version__, prog_name="cog", message="%(prog)s version %(version)s")
@click.pass_context
def cog(ctx: click.Context, debug: bool, no_color: bool, profile: bool, registry: str | None) -> None:
    """Put a machine-learning model into production."""
    ctx.obj = Session(Screen.of(os.environ, no_color=no_color), debug)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code: 0, 1 for any error, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    screen = Screen.of(os.environ, no_color="--no-color" in arguments)
    debug = "--debug" in arguments
    try:
        outcome = cog.main(arguments, prog_name="cog", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        screen.say(error.format_message())
        return 1
    except click.ClickException as error:
        screen.fail(_usage(error))
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:  # the reader of stdout has left: there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CogError as error:
        if debug:
            screen.write(traceback.format_exc())
        screen.fail(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a defect of ours: told as one
        if debug:
            screen.write(traceback.format_exc())
        screen.fail(
            f"cog itself failed: {type(error).__name__}: {error}. `cog --debug ...` shows where; please report it."
        )
        return 1
    return outcome if isinstance(outcome, int) else 0


def _usage(error: click.ClickException) -> str:
    text = error.format_message()
    context = getattr(error, "ctx", None)
    return text if context is None else f"{text} See `{context.command_path} --help`."


def run() -> None:
    """The installed command."""
    sys.exit(main())


if __name__ == "__main__":
    run()
