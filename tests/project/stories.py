"""The examples of a page, executed in the order in which they stand there.

What a fenced block is, is said where its reader sees it:

    bash                             commands
    bash "In a second terminal"      a command that goes on until the page ends
    console                          lines that begin with `$ ` are commands, the others are what the one above writes
    text, json "Output"              what the block above writes to stdout
    text "Messages"                  what it writes to stderr; it may fail
    anything "NAME.EXT"              a file

In an expected text a line `...` stands for any lines, and what differs from run to run counts as equal.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.serving import CLEARED, DEADLINE, request, until

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^( *)```(\w*)(?: +title=\"([^\"]*)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"[\w./-]*\w\.\w+")
SECOND = re.compile(r"In a (second|third) terminal")
# What differs from run to run: times, ids, places.
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b[a-z2-7]{26}\b"), "ID"),
    (re.compile(r"(?<=_time\":)\s?[\d.e-]+"), "0"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "0 s"),
)
VOLATILE_FIELDS = ("id", "predict_time", "created_at", "started_at", "completed_at")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    kind: str
    title: str
    text: str
    line: int


def blocks(path: Path) -> list[Block]:
    """Those of a page, in order."""
    page = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(page):
        text = "".join(line.removeprefix(match[1]) for line in match[4].splitlines(keepends=True))
        found.append(Block(match[2], match[3] or "", text, page.count("\n", 0, match.start()) + 1))
    return found


def is_file(block: Block) -> bool:
    """Whether the reader is to write it into a file."""
    return _FILE.fullmatch(block.title) is not None


def steady(value: Any) -> Any:
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {name: "..." if name in VOLATILE_FIELDS else steady(inner) for name, inner in value.items()}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def matches(wanted: str, seen: str) -> bool:
    """Whether a text is what a page says, `...` standing for any lines."""
    parts = [
        re.escape(_plain(part))
        for part in re.split(r"^ *\.\.\.$\n?", wanted.strip("\n") + "\n", flags=re.MULTILINE)
    ]
    return re.fullmatch("(?:.*\n)?".join(parts), _plain(seen.strip("\n") + "\n"), re.DOTALL) is not None


def _plain(text: str) -> str:
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Story:
    """A page that is being read by somebody who types what it says."""

    folder: Path
    ports: dict[str, int] = field(
        default_factory=lambda: {"8393": free_port(), "5000": free_port(), "8080": free_port()}
    )
    stdout: str = ""
    stderr: str = ""
    code: int = 0
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def play(self, page: list[Block]) -> None:
        """Do what the page says, and compare what it shows."""
        for block in page:
            try:
                self._take(block)
            except Exception as error:
                raise AssertionError(
                    f"line {block.line}: {error}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
                ) from error
        assert self.code == 0, self.stderr

    def _take(self, block: Block) -> None:
        if block.title == "Messages":
            assert matches(self._here(block.text), self.stderr), f"other messages than\n{block.text}"
            self.code = 0
            return
        if is_file(block):
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._here(block.text), encoding="utf-8")
        elif block.title == "Output":
            self._compare(block)
        elif SECOND.fullmatch(block.title):
            self.begin(block.text)
        elif block.kind == "bash":
            assert self.code == 0, "the commands before have failed"
            self._run(block.text)
        elif block.kind == "console":
            self._transcript(block.text)

    def _compare(self, block: Block) -> None:
        if block.kind == "json":
            assert steady(json.loads(self.stdout)) == steady(json.loads(self._here(block.text))), block.text
        else:
            assert matches(self._here(block.text), self.stdout), f"other output than\n{block.text}"

    def _transcript(self, text: str) -> None:
        command, shown = "", ""
        for line in [*text.splitlines(keepends=True), "$ "]:
            if line.startswith("$ "):
                if command:
                    self._run(command)
                    assert not shown or matches(self._here(shown), self.stdout), f"other output than\n{shown}"
                command, shown = line[2:], ""
            elif command.endswith("\\\n"):
                command += line
            else:
                shown += line

    def _here(self, text: str) -> str:
        """What the page says, with the ports and folders of this machine."""
        for port, ours in self.ports.items():
            text = re.sub(rf"(?<=[:=\s]){port}\b", str(ours), text)
        return text.replace("/home/ada", str(self.folder.parent))

    def environment(self) -> dict[str, str]:
        """That of the reader: `cog` and `python` are those that run this test."""
        kept = {name: value for name, value in os.environ.items() if name not in (*CLEARED, "VIRTUAL_ENV")}
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        return {**kept, "PATH": path, "PORT": str(self.ports["5000"]), "LOG_FORMAT": "console"}

    def _run(self, script: str) -> None:
        marker = self.folder.parent / "folder"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{self._here(script)}\npwd > {shlex.quote(str(marker))}"],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE * 2,
        )
        self.stdout, self.stderr, self.code = done.stdout, done.stderr, done.returncode
        if done.returncode == 0:
            self.folder = Path(marker.read_text().strip())

    def begin(self, script: str) -> None:
        """Start what goes on until the page ends; it serves the model at one of the ports."""
        script = self._here(script).strip()
        served = (
            "8393" if script.startswith("cog serve") else "5000" if "cog.server.http" in script else "8080"
        )
        if served == "8393":
            script = script.replace("cog serve", f"cog serve -p {self.ports['8393']}", 1)
        log = (self.folder.parent / f"log-{len(self._running)}").open("wb")
        with log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {script}"],
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        until(lambda: _serves(self.ports[served], process, model=served != "8080"), bool)

    def end(self) -> None:
        """End what goes on."""
        for process in reversed(self._running):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(DEADLINE)
            finally:
                process.kill()


def _serves(port: int, process: subprocess.Popen[bytes], *, model: bool) -> bool:
    assert process.poll() is None, "what was to go on has ended"
    with contextlib.suppress(OSError):
        return connects(port) and (not model or request(f"http://127.0.0.1:{port}/ready").status == 200)
    return False


def connects(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def story(folder: Path) -> Iterator[Story]:
    """Somebody who begins in an empty folder."""
    folder.mkdir(parents=True)
    one = Story(folder)
    try:
        yield one
    finally:
        one.end()
