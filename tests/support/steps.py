"""Models that do what the test says: the input is code, and the code waits where the test wants it to."""

from __future__ import annotations

import itertools
import os
import textwrap
from typing import Any

from support.serving import Server

_numbers = itertools.count(1)

_HEAD = '''
import asyncio, os, signal, subprocess, sys, threading, time, textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path as LocalPath
from typing import Any

from cog import BaseRunner, CancelationException

FOLDER = LocalPath(__file__).parent
DEADLINE = 20

def reach(name):
    """Tell the test that the code has come here."""
    (FOLDER / name).touch()

def gate(name):
    """Tell the test that the code has come here, and wait until the test lets it go on."""
    reach(name)
    deadline = time.monotonic() + DEADLINE
    while not (FOLDER / f"{name}.go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.005)

async def async_gate(name):
    """The same for an async model: the loop goes on."""
    reach(name)
    deadline = time.monotonic() + DEADLINE
    while not (FOLDER / f"{name}.go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        await asyncio.sleep(0.005)

def made(kind, code):
    space = {}
    exec(kind + " body():\\n" + textwrap.indent(code, "    "), globals(), space)
    return space["body"]

class Runner(BaseRunner):
'''

_RUNS = {
    "sync": """
        def run(self, code: str = "return None") -> Any:
            return made("def", code)()
    """,
    "generator": """
        def run(self, code: str = "yield None") -> Iterator[Any]:
            yield from made("def", code)()
    """,
    "async": """
        async def run(self, code: str = "return None") -> Any:
            return await made("async def", code)()
    """,
}


def model(kind: str) -> str:
    """A model's source whose input `code` is the body of a function of this kind: sync, generator or async."""
    return _HEAD + textwrap.indent(textwrap.dedent(_RUNS[kind]), "    ")


def body(text: str, **names: object) -> dict[str, Any]:
    """The input for such a model: `text` without its indentation, `$name` in it replaced by a Python literal."""
    code = textwrap.dedent(text)
    for name, value in names.items():
        code = code.replace(f"${name}", repr(value))
    return {"code": code}


def fresh() -> str:
    """A name for a gate or a file that no other test of this process uses."""
    return f"step{next(_numbers)}"


def let_go(server: Server, name: str) -> None:
    """Open the gate `name`, once the code has come there."""
    server.wait_file(name)
    (server.folder / f"{name}.go").touch()


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return os.path.exists(f"/proc/{pid}")
