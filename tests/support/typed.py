"""`cog` as a person types it: in a folder, with or without a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from cog.cli.main import main
from support.serving import DEADLINE

# What the machine of the tests may have set, and what would change what is written.
_CLEARED = ("NO_COLOR", "FORCE_COLOR", "LOG_FORMAT", "PORT", "VIRTUAL_ENV", "PYTHONPATH", "SHELL", "COLUMNS")


@dataclass(frozen=True)
class Typed:
    """How a command ended, and what it wrote. On a terminal both streams are in `err`, as they came."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The messages, with every run of blanks as one: how lines are broken is of no matter."""
        return " ".join(self.err.split())


def surroundings(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without any option of cog, and `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COG_", "_COG_")) and k not in _CLEARED}
    return {**kept, "TERM": "xterm-256color", **(extra or {})}


def typed(*words: str, folder: Path, env: Mapping[str, str] | None = None, terminal: bool = False) -> Typed:
    """Run `cog WORDS` in `folder` to its end. With `terminal` on a pseudo-terminal."""
    command = [sys.executable, "-m", "cog.cli.main", *words]
    if terminal:
        return _on_terminal(command, folder, surroundings(env))
    done = subprocess.run(
        command,
        cwd=folder,
        env=surroundings(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE * 4,
        check=False,
    )
    return Typed(done.returncode, done.stdout, done.stderr)


def called(*words: str, folder: Path, env: Mapping[str, str] | None = None) -> Typed:
    """The same within this process, which is much quicker: for what is decided before a process matters."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(each, encoding="utf-8", write_through=True) for each in (out, err)]
    before, environ = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    _set_environ(surroundings(env))
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            code = main(words)
    finally:
        _set_environ(environ)
        os.chdir(before)
    return Typed(code, out.getvalue().decode(), err.getvalue().decode())


def _set_environ(values: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


def _on_terminal(command: list[str], folder: Path, env: dict[str, str]) -> Typed:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = bytearray()

    def read() -> None:
        with suppress(OSError):  # the end of a terminal is an error
            while data := os.read(ours, 65536):
                written.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        code = process.wait(DEADLINE * 4)
    finally:
        process.kill()
        process.wait()
        reader.join(DEADLINE)
        os.close(ours)
    return Typed(code, "", written.decode().replace("\r\n", "\n"))
