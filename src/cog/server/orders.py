"""What a server is to do, told by the program that started it: it may begin to start before that is known."""

from __future__ import annotations

import json
import os
import signal
from typing import Final

FLAG: Final = "--orders"


def taken(arguments: list[str]) -> list[str]:
    """The command line to follow: `arguments` themselves, or, for `--orders` alone, those that come in on stdin.

    There they are JSON, `{"arguments": [...], "environment": {...}, "folder": "..."}`, up to the end; environment and
    folder take the place of those of this process. When there is nothing, or a part of it, nobody wants a server any
    more, and the process ends.
    """
    if arguments != [FLAG]:
        return arguments
    pieces = []
    while piece := os.read(0, 65536):
        pieces.append(piece)
    try:
        orders = json.loads(b"".join(pieces))
    except ValueError:
        os._exit(128 + signal.SIGHUP)
    os.chdir(orders["folder"])
    os.environ.clear()
    os.environ.update(orders["environment"])
    return [str(argument) for argument in orders["arguments"]]
