"""Models for tests: one that runs the code it is sent, in a plain and in an async form, and what models wait with."""

from __future__ import annotations

# A model waits for what the test makes: a file in its folder.
WAITING = '''\
import asyncio, os, time


def hold(name, seconds=20.0):
    """Wait until the file is there."""
    end = time.monotonic() + seconds
    while not os.path.exists(name):
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.002)


async def held(name, seconds=20.0):
    """Wait until the file is there, and let the loop go on."""
    end = time.monotonic() + seconds
    while not os.path.exists(name):
        if time.monotonic() > end:
            raise TimeoutError(name)
        await asyncio.sleep(0.002)


def mark(name, text=""):
    """Make the file, at once with all its text."""
    with open(name + ".part", "w") as file:
        file.write(text)
    os.rename(name + ".part", name)
'''

# Code that says by "begun" that it will not react, and by then does not: C code waits, and has held the interpreter's lock
# since before it spoke. From Python, a cancel could come between the word and the wait.
DEAF = "import ctypes; ctypes.PyDLL(None).system(b'echo $PPID > begun.part; mv begun.part begun; echo begun; exec sleep 60')"

# Input: `code`; output: what the code leaves in `out`. `self` and `d` are there for the code.
SYNC = (
    "from typing import Any\nfrom cog import BaseRunner\n"
    + WAITING
    + """

class Runner(BaseRunner):
    def run(self, code: str, d: dict = None) -> Any:
        names = {**globals(), "self": self, "d": d}
        exec(code, names)
        return names.get("out")
"""
)

# The same with code that may await and that returns its output; 8 at once.
ASYNC = (
    "import textwrap\nfrom typing import Any\nfrom cog import BaseRunner, concurrent\n"
    + WAITING
    + """

class Runner(BaseRunner):
    @concurrent(max=8)
    async def run(self, code: str, d: dict = None) -> Any:
        names = {**globals(), "self": self, "d": d}
        exec("async def act():\\n" + textwrap.indent(textwrap.dedent(code), "    "), names)
        return await names["act"]()
"""
)
