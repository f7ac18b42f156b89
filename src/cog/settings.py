"""Every option of the server once: its flag, its variable, its default and its help.

`OPTIONS` feeds the command line, the environment, `--help` and the reference page; `read` turns what was
given into one frozen value.
"""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from cog.errors import SettingError
from cog.version import __version__

_UNITS: Final = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for suffix, base in (("ib", 1024), ("b", 1000))
}
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?([a-z]{0,3})", re.ASCII)


# How a text becomes a value. Each raises ValueError with what to write instead.


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("it must be printable text and not empty")
    return text


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else -1
        if not low <= number <= high:
            raise ValueError(f"it must be a whole number from {low} to {high}")
        return number

    return parse


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError("it must be a number of seconds, such as 0.5 or 30")
    return number


def _seconds_above_zero(text: str) -> float:
    if (number := _seconds(text)) == 0:
        raise ValueError("it must be more than 0 seconds")
    return number


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip().lower())
    number = int(float(match[1]) * _UNITS.get(match[2], 0)) if match is not None else 0
    if number < 1:
        raise ValueError("it must be a number of bytes or a size such as 64KiB, 100MiB or 1GB")
    return number


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "1", "yes", "on", "false", "0", "no", "off", ""):
        raise ValueError("it must be true or false")
    return word in ("true", "1", "yes", "on")


def _url(text: str) -> str:
    parts = urlsplit(text)
    plain = text.isprintable() and " " not in text
    if not plain or parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("it must be an absolute http:// or https:// URL")
    return text


def _one_of(*words: str, **synonyms: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        word = text.strip().lower()
        word = synonyms.get(word, word)
        if word not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return word

    return parse


_TOP: Final = 1_000_000  # more threads or slots than that is a slip of the finger


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be set: by a flag, by an environment variable, or by either (the flag wins).

    `default` is written as a person would type it, None when there is no value unless one is given. An
    unusable value of the variable ends the server, but where `lenient`: then it is a warning, and
    `fallback` counts (None: the default), because Cog's servers start with such values. `bare` is what the
    flag without a value means. A `secret` is never shown.
    """

    name: str
    flag: str | None
    variable: str | None
    parse: Callable[[str], object]
    default: str | None
    help: str
    metavar: str = "TEXT"
    bare: str | None = None
    lenient: bool = False
    fallback: str | None = None
    secret: bool = False


OPTIONS: Final[tuple[Option, ...]] = (
    Option("host", "--host", None, _text, "0.0.0.0",
           "Address to listen on: IPv4, IPv6 (`::` takes both) or a name.", "HOST"),
    Option("port", None, "PORT", _whole(0, 65535), "5000",
           "Port to listen on; 0 takes any free one.", "PORT"),
    Option("threads", "--threads", None, _whole(1, _TOP), None,
           "Predictions of a plain `def run` served in parallel, each by a process with its own copy of the "
           "model; as many as fit in memory. Without it: the number of CPUs, 1 when `build.gpu` is true.",
           "N"),
    Option("upload_url", "--upload-url", None, _url, None,
           "Where output files are PUT; the response then holds their URLs. Without it: data URLs.", "URL"),
    Option("await_explicit_shutdown", "--await-explicit-shutdown", None, _switch, "false",
           "Ignore SIGTERM; SIGINT and POST /shutdown still end the server.", "BOOL", bare="true"),
    Option("mode", "--x-mode", None, _one_of("predict", "train"), "predict",
           "What to serve: `predict` or `train`.", "MODE"),
    Option("keep", "--keep", "COG_KEEP", _seconds, "3600",
           "How long an ended prediction can be asked for.", "SECONDS"),
    Option("drain_timeout", "--drain-timeout", "COG_DRAIN_TIMEOUT", _seconds, "25",
           "How long running predictions may take to finish once the server was told to end.", "SECONDS"),
    Option("cancel_grace", "--cancel-grace", "COG_CANCEL_GRACE", _seconds, "10",
           "How long a canceled prediction may clean up before its process is killed.", "SECONDS"),
    Option("max_body", "--max-body", "COG_MAX_BODY", _size, "100MiB", "Largest request body.", "SIZE"),
    Option("max_download", "--max-download", "COG_MAX_DOWNLOAD", _size, "1GiB",
           "Largest input file to download.", "SIZE"),
    Option("allow_local_files", "--allow-local-files", None, _switch, "false",
           "Accept paths on the server's own disk as file inputs: only where no stranger reaches the server.",
           "BOOL", bare="true"),
    Option("predict_ref", None, "COG_PREDICT_TYPE_STUB", _text, None,
           "The model, as `run.py:Runner`. Without it: `run` of cog.yaml.", "REF"),
    Option("train_ref", None, "COG_TRAIN_TYPE_STUB", _text, None,
           "The training function, as `train.py:train`. Without it: `train` of cog.yaml.", "REF"),
    Option("max_concurrency", None, "COG_MAX_CONCURRENCY", _whole(1, _TOP), None,
           "Predictions at a time for an `async def run`. Without it: `concurrency.max` of cog.yaml, "
           "then `@cog.concurrent`, then 1. An unusable value counts as 1.", "N", lenient=True, fallback="1"),
    Option("setup_timeout", None, "COG_SETUP_TIMEOUT", _seconds_above_zero, None,
           "How long the model's `setup()` may take. Without it: for ever. An unusable value is ignored.",
           "SECONDS", lenient=True),
    Option("log_level", None, "COG_LOG_LEVEL",
           _one_of("debug", "info", "warning", "error", warn="warning"), "info",
           "Least important messages to log: debug, info, warning or error. What the model prints always "
           "appears.", "LEVEL", lenient=True),
    Option("log_format", None, "LOG_FORMAT", _one_of("json", "console", "auto"), "auto",
           "How to log: `json`, `console` (text for people), or `auto`: console on a terminal, else json.",
           "FORMAT", lenient=True, fallback="json"),
    Option("throttle_interval", None, "COG_THROTTLE_RESPONSE_INTERVAL", _seconds, "0.5",
           "Least time between two `output` or `logs` webhooks of one prediction.", "SECONDS", lenient=True),
    Option("webhook_auth_token", None, "WEBHOOK_AUTH_TOKEN", _text, None,
           "Sent with each webhook as `Authorization: Bearer TOKEN`.", "TOKEN", secret=True),
    Option("url_policy", None, "COG_URL_POLICY", _one_of("private", "public"), "private",
           "Which addresses input and webhook URLs may lead to: `public` refuses private networks and "
           "loopback; link-local and cloud metadata addresses are always refused.", "POLICY"),
    Option("worker_python", None, "COG_WORKER_PYTHON", _text, None,
           "The Python that runs the model. Without it: the one that runs the server.", "PATH"),
    Option("user_agent", None, "COG_USER_AGENT", _text, None,
           "User-Agent of downloads, uploads and webhooks. Without it: `cog/` and the version.", "TEXT"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set. Times are in seconds, sizes in bytes; None means that nothing was said (see `OPTIONS`).

    `warnings` tells of variables whose value could not be used and was replaced.
    """

    host: str
    port: int
    threads: int | None
    upload_url: str | None
    await_explicit_shutdown: bool
    mode: str
    keep: float
    drain_timeout: float
    cancel_grace: float
    max_body: int
    max_download: int
    allow_local_files: bool
    predict_ref: str | None
    train_ref: str | None
    max_concurrency: int | None
    setup_timeout: float | None
    log_level: str
    log_format: str
    throttle_interval: float
    webhook_auth_token: str | None = field(repr=False)
    url_policy: str
    worker_python: str | None
    user_agent: str | None
    warnings: tuple[str, ...] = ()


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
