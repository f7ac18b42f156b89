"""The models under load, and what each order to them must bring: everything in an answer comes from its own token."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

_HEAD = '''
import asyncio, hashlib, os, time
from collections.abc import Iterator
from typing import Any, Optional

from cog import BaseRunner, Path, concurrent

def written(token, n):
    """An output file; the one before it is removed, so that the model leaves nothing either."""
    for name in os.listdir("."):
        if name.startswith(f"out-{os.getpid()}-") and os.stat(name).st_mtime < time.time() - 20:
            os.unlink(name)
    path = f"out-{os.getpid()}-{token}.txt"
    with open(path, "w") as out:
        out.write(token * n)
    return Path(path)

def told(token, do, n, file):
    if do == "print":
        for number in range(n):
            print(f"{token} {number}")
    elif do == "fail":
        print(f"{token} fails")
        raise ValueError(token)
    elif do == "read":
        return [token, hashlib.sha256(file.read_bytes()).hexdigest()]
    elif do == "write":
        return written(token, n)
    elif do == "big":
        return token * n
    return token
'''

SYNC: Final = (
    _HEAD
    + """
class Runner(BaseRunner):
    def run(self, token: str, do: str = "", n: int = 0, file: Optional[Path] = None) -> Any:
        if do == "sleep":
            time.sleep(40)
        return told(token, do, n, file)
"""
)

ASYNC: Final = (
    _HEAD
    + """
class Runner(BaseRunner):
    @concurrent(max=8)
    async def run(self, token: str, do: str = "", n: int = 0, file: Optional[Path] = None) -> Any:
        if do == "sleep":
            await asyncio.sleep(40)
        await asyncio.sleep(0)
        return told(token, do, n, file)
"""
)

STREAM: Final = (
    _HEAD
    + """
class Runner(BaseRunner):
    def run(self, token: str, do: str = "", n: int = 0, file: Optional[Path] = None) -> Iterator[str]:
        for number in range(5):
            yield f"{token} {number}"
        if do == "sleep":
            time.sleep(40)
        last = told(token, do, n, file)
        yield last if isinstance(last, str) else last[1]
"""
)


@dataclass(frozen=True)
class Order:
    """One input, and how its prediction must end when nothing happens to it. `file` is what lies behind an output file."""

    token: str
    input: dict[str, Any]
    output: Any
    logs: str = ""
    error: str | None = None
    before: list[str] = field(default_factory=list)  # what a generator yields in any case
    file: bytes | None = None


def order(token: str, do: str, n: int, *, streams: bool) -> Order:
    """What to send, and what to expect."""
    before = [f"{token} {number}" for number in range(5)] if streams else []
    logs = "".join(f"{token} {number}\n" for number in range(n)) if do == "print" else ""
    last: Any = token * n if do == "big" else token
    output = [*before, last] if streams else last
    input = {"token": token, "do": do, "n": n}
    if do == "fail":
        output = before if streams else None
        return Order(token, input, output, f"{token} fails\n", f"ValueError: {token}", before)
    if do == "write":
        return Order(token, input, None, file=token.encode() * n)
    return Order(token, input, output, logs, None, before)


def reading(token: str, content: bytes, url: str, *, streams: bool) -> Order:
    """An order with an input file; an empty `url` stands for a data URL."""
    digest = hashlib.sha256(content).hexdigest()
    source = url or "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    before = [f"{token} {number}" for number in range(5)] if streams else []
    output = [*before, digest] if streams else [token, digest]
    return Order(token, {"token": token, "do": "read", "file": source}, output, before=before)
