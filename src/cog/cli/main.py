"""`cog`: finds the command, and turns whatever goes wrong into a text and an exit code."""

from __future__ import annotations

import errno
import functools
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import click

from cog.cli import interruption
from cog.cli.screen import Screen
from cog.errors import CogError
from cog.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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
        Entry("bench", "Measure the model under load", "cog.cli.bench"),
        Entry("exec", "Run a command in the model's environment", "cog.cli.exec"),
        Entry("predict", "The old name of run", "cog.cli.predict", hidden=True),
        Entry("train", "Train the model", "cog.cli.train", hidden=True),
    ),
    "An image": (
        Entry("build", "Build an image of the model", "cog.cli.build"),
        Entry("push", "Build the image and push it to a registry", "cog.cli.push"),
        Entry("login", "Log in to a registry", "cog.cli.login"),
    ),
    "Help": (
        Entry("doctor", "Look over the project and mend it", "cog.cli.doctor"),
        Entry("completion", "Print what makes a shell complete cog's commands", "cog.cli.completion"),
        Entry("debug", "Show what cog makes of this folder", "cog.cli.debug", hidden=True),
    ),
}
ENTRIES: Final = {entry.name: entry for section in SECTIONS.values() for entry in section}


# What the contract has, and this version does not have yet.
LATER: Final = ("playground", "weights")

# What writing ends with where there is no room, or nothing to write to.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


@dataclass(slots=True)
class Session:
    """What every command gets: where to write, and how much to say. Flags change it while they are read."""

    screen: Screen
    debug: bool = False


def _say_more(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and isinstance(ctx.obj, Session):
        ctx.obj.debug = True


def _be_plain(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and isinstance(ctx.obj, Session):
        ctx.obj.screen.lively = False


def _everywhere(*, listed: bool) -> list[click.Parameter]:
    """The flags that every command takes, before its name or behind it. Only `cog --help` lists them."""
    flag = functools.partial(click.Option, is_flag=True, expose_value=False, is_eager=True)
    return [
        flag(
            ["--debug"],
            callback=_say_more,
            hidden=not listed,
            help="Say more, and show tracebacks of cog itself.",
        ),
        flag(
            ["--no-color"], callback=_be_plain, hidden=not listed, help="Write plain text. So does NO_COLOR."
        ),
        flag(["--profile"], hidden=True, help="[compat] Accepted, without effect."),
        click.Option(
            ["--registry"],
            expose_value=False,
            hidden=True,
            metavar="HOST",
            help="[compat] Accepted, without effect.",
        ),
    ]


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
        own = {flag for parameter in command.params for flag in parameter.opts}
        command.params += [each for each in _everywhere(listed=False) if not own.intersection(each.opts)]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed; of one that there is not, the nearest that there is."""
        if args and args[0] not in ENTRIES and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(_no_command(args[0]))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The names that are listed, without importing any of them; flags as click has them."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        listed = (entry for entry in ENTRIES.values() if not entry.hidden)
        return [
            CompletionItem(each.name, help=each.help) for each in listed if each.name.startswith(incomplete)
        ]

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
@click.version_option(__version__, prog_name="cog", message="%(prog)s version %(version)s")
def cog() -> None:
    """Put a machine-learning model into production."""


cog.params += _everywhere(listed=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code: 0, 1 for any error, 130 after Ctrl-C."""
    if "_COG_COMPLETE" in os.environ:
        from cog.cli.shells import answer

        return answer(cog, os.environ["_COG_COMPLETE"])
    arguments = list(sys.argv[1:] if argv is None else argv)
    screen = Screen.of(os.environ, no_color=False)
    session = Session(screen)
    try:
        outcome = cog.main(arguments or ["--help"], prog_name="cog", standalone_mode=False, obj=session)
    except click.ClickException as error:
        screen.fail(_usage(error))
        return 1
    except (KeyboardInterrupt, click.Abort) as error:
        interrupt = (
            error.__cause__ if isinstance(error, click.Abort) else error
        )  # click makes one of the other
        return interruption.exit_code(interrupt) if isinstance(interrupt, KeyboardInterrupt) else 130
    except BrokenPipeError:  # the reader of stdout has left: there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - what nobody foresaw is a defect of ours, and told as one
        if session.debug:
            import traceback

            screen.write(traceback.format_exc())
        screen.fail(_told(error))
        return error.exit_code if isinstance(error, CogError) else 1
    return outcome if isinstance(outcome, int) else 0


def _told(error: Exception) -> str:
    if isinstance(error, CogError):
        return str(error)
    if isinstance(error, OSError) and (text := _refused(error)):
        return text
    return f"cog itself failed: {type(error).__name__}: {error}. `cog --debug ...` shows where; please report it."


def _refused(error: OSError) -> str:
    """What the system did not let us do; nothing where that is no fault of the surroundings."""
    if error.filename is not None:
        advice = (
            "Look at its permissions and at the space on its disk; `cog --debug ...` shows what wanted it."
        )
        return f"{os.fsdecode(error.filename)}: {error.strerror}. {advice}"
    if error.errno in _FULL:
        return f"The result cannot be written to stdout: {error.strerror}. Send it elsewhere, or make room."
    try:
        os.getcwd()
    except FileNotFoundError:
        return "The folder that you are in was removed. Go to another one, for example: cd ~"
    return ""


def _no_command(name: str) -> str:
    import difflib

    listed = [entry.name for entry in ENTRIES.values() if not entry.hidden]
    near = difflib.get_close_matches(name.lower(), [*listed, *LATER], n=1)
    if near and near[0] in LATER:
        return f"There is no `cog {near[0]}` yet."
    advice = f"Did you mean {near[0]}?" if near else f"There are {', '.join(listed)}."
    return f"No such command '{name}'. {advice}"


def _usage(error: click.ClickException) -> str:
    text = error.format_message()
    text = (
        text if text.endswith((".", "?", "!", "?)")) else f"{text}."
    )  # click ends only some of its sentences
    context = getattr(error, "ctx", None)
    return text if context is None else f"{text} See `{context.command_path} --help`."


def run() -> NoReturn:
    """The installed command."""
    # Standard streams that were closed lead nowhere: what is opened here must not get their numbers, or others would
    # take it for their input or output.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    code = main()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # else it was closed
                stream.flush()
    except OSError:  # a full disk, or a reader who has left
        code = code or 1
    # Everything was ended in order; to take all modules apart would only take time (30 ms, a third of `cog --help`).
    os._exit(code)


if __name__ == "__main__":
    run()
