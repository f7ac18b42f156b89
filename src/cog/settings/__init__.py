"""Every option of the server once: its flag, its variable, its default and its help.

`OPTIONS` feeds the command line, the environment, `--help` and the reference page; `read` turns what was
given into one frozen value.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cog.errors import SettingError
from cog.settings.options import OPTIONS, Option, Settings
from cog.version import __version__

__all__ = ["OPTIONS", "Option", "Settings", "read", "reference_markdown"]


def read(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings from a command line (without the program's name) and an environment.

    A variable that is empty counts as not set.

    Raises:
        SettingError: variables have values that cannot be used; all of them are named.
        SystemExit: with 2 for bad arguments, with 0 after `--help` and `--version`.
    """
    values: dict[str, Any] = {
        k: v for k, v in vars(_parser().parse_args(list(argv))).items() if v is not None
    }
    problems: list[str] = []
    warnings: list[str] = []
    for option in OPTIONS:
        if option.name not in values:
            values[option.name] = _from_environment(option, environ, problems, warnings)
    if problems:
        raise SettingError("\n".join(problems))
    return Settings(**values, warnings=tuple(warnings))


def _from_environment(
    option: Option, environ: Mapping[str, str], problems: list[str], warnings: list[str]
) -> object:
    text = environ.get(option.variable, "") if option.variable is not None else ""
    if text == "":
        return _value(option, option.default)
    try:
        return option.parse(text)
    except ValueError as error:
        shown = "(not shown)" if option.secret else repr(text[:100])
        what = f"the environment variable {option.variable} is {shown}, but {error}"
    if option.lenient:
        used = option.fallback if option.fallback is not None else option.default
        warnings.append(f"{what}. {'It is ignored.' if used is None else f'{used} is used instead.'}")
        return _value(option, used)
    problems.append(f"{what}. Change it, or unset it for the default ({_shown(option)}).")
    return None


def _value(option: Option, text: str | None) -> object:
    return None if text is None else option.parse(text)


# The command line.


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cog.server.http",
        description="Serve the model of this folder over HTTP.",
        epilog=_variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-v", "--version", action="version", version=f"cog {__version__}")
    for option in OPTIONS:
        if option.flag is not None:
            parser.add_argument(
                option.flag,
                dest=option.name,
                type=_argument(option),
                metavar=option.metavar,
                nargs=None if option.bare is None else "?",
                const=None if option.bare is None else option.parse(option.bare),
                help=_help(option).replace("%", "%%"),
            )
    return parser


def _argument(option: Option) -> Callable[[str], object]:
    def parse(text: str) -> object:
        try:
            return option.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text[:100]!r} cannot be used: {error}") from None

    return parse


def _help(option: Option) -> str:
    notes = (
        [f"Variable: {option.variable}."] if option.variable is not None and option.flag is not None else []
    )
    notes += [f"Default: {option.default}."] if option.default is not None else []
    return " ".join([option.help, *notes])


def _variables() -> str:
    lines = ["environment variables without a flag:"]
    for option in OPTIONS:
        if option.flag is None:
            lines.append(f"  {option.variable} {option.metavar}")
            lines += textwrap.wrap(_help(option), 80, initial_indent=" " * 24, subsequent_indent=" " * 24)
    return "\n".join(lines)


def _shown(option: Option) -> str:
    return "none" if option.default is None else option.default


def reference_markdown() -> str:
    """The table of all options for the reference page, in Markdown."""
    lines = ["| Flag | Variable | Default | Meaning |", "| --- | --- | --- | --- |"]
    for option in OPTIONS:
        flag = f"`{option.flag} {option.metavar}`" if option.flag is not None else ""
        variable = f"`{option.variable}`" if option.variable is not None else ""
        default = f"`{option.default}`" if option.default is not None else ""
        lines.append(f"| {flag} | {variable} | {default} | {option.help} |")
    lines.append("| `-v`, `--version` |  |  | Print the version and end. |")
    return "\n".join(lines) + "\n"
