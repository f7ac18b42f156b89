"""Calls uv, the tool that makes environments."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cog.errors import EnvironmentFailed

ENDING: Final = 5.0  # seconds that uv gets to end after it was told to

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ASIDE: Final = "Using Python "  # names our own folder
_SILENT: Final = (" + ", " - ", " ~ ", _ASIDE)  # one line a package, all at once at the end: no progress
_FAILING: Final = ("error", "  \u00d7")  # how a failure begins; 0.9 draws it


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `message` is what uv wrote to stderr, as it wrote it but without colours."""

    code: int
    output: str
    message: str


def binary() -> str:
    """The path of uv: the one installed with cog, else the one on PATH.

    Raises:
        EnvironmentFailed: there is none.
    """
    with contextlib.suppress(ImportError, FileNotFoundError):
        import uv

        return str(uv.find_uv_bin())
    found = shutil.which("uv")
    if found is None:
        raise EnvironmentFailed(
            "uv, which makes the model's environment, is not here. It comes with cog: install cog again, or uv by itself "
            "(https://docs.astral.sh/uv/). `--no-env` does without an environment."
        )
    return found


def call(
    arguments: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    report: Callable[[str], None] | None = None,
    held: Sequence[int] = (),
) -> Outcome:
    """Run uv in `folder` to its end. It gets every line of progress that uv writes to `report`, as it comes.

    uv inherits the descriptors `held`: a lock stays locked while uv lives, even if this process is killed. When
    this call is left by an exception, such as KeyboardInterrupt, uv is ended before.

    Raises:
        EnvironmentFailed: there is no uv, or somebody has killed it.
    """
    process = subprocess.Popen(
        [binary(), "--color", "never", *arguments],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(held),
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        try:
            assert process.stderr is not None
            assert process.stdout is not None
            written = _heard(process.stderr, report)
            output = process.stdout.read()
            code = process.wait()
        except BaseException:
            _end(process)
            raise
    if code < 0:
        raise EnvironmentFailed(
            f"uv was killed by {signal.Signals(-code).name} while it made the model's environment. Usually the system ran out "
            "of memory, or somebody ended it. Run the command again."
        )
    message = "".join(line for line in written if not line.startswith(_ASIDE)).strip("\n")
    return Outcome(code, output.strip(), message)


def _heard(stream: IO[str], report: Callable[[str], None] | None) -> list[str]:
    """Every line of uv, while the progress among them is reported. What follows an error is none."""
    lines = []
    failed = False
    for coloured in stream:
        line = _ANSI.sub("", coloured)
        lines.append(line)
        failed = failed or line.startswith(_FAILING)
        if report is not None and line.strip() and not failed and not line.startswith(_SILENT):
            report(line.strip())
    return lines


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(ENDING)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
