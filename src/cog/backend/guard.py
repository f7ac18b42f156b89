"""A tiny process that outlives the server by a moment, to kill what the server cannot kill any more."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections.abc import Iterable
from typing import Final

from cog.backend import strays
from cog.backend.watch import Watch

log = logging.getLogger("cog.backend")

NAME: Final = "cog-guard"
SHELL: Final = "/bin/sh"
# The last line that was read lists the process groups of the workers. The end of the file is the end of the server.
# `kill -9 -N` and not `kill -9 -- -N`, which dash does not know. What has left the groups carries the mark ($1).
_SCRIPT: Final = """
trap "" HUP INT TERM
while read -r groups; do g=$groups; done
for p in $g; do kill -9 -$p; done
for e in /proc/[0-9]*/environ; do
  if grep -qs "$1" "$e"; then p=${e#/proc/}; kill -9 "${p%/environ}"; fi
done
"""
# A guard that ends again and again cannot live here; then the workers' own means have to do.
_STARTS: Final = 5


class Guard:
    """Kills every worker, with all children that models have started, once the server is gone, however it went.

    A worker dies with its server by itself, but cannot take its children along when the system kills it, or when C
    code holds the interpreter lock. Where no guard can be started that is how it stays.
    """

    def __init__(self, mark: str) -> None:
        """`mark` is what every worker of this server carries in its environment, see `strays`."""
        self._mark = mark
        self._popen: subprocess.Popen[bytes] | None = None
        self._watch: Watch | None = None
        self._pipe: int | None = None
        self._starts = 0
        self._line = b"\n"

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start it; when it ends before its time it is started again."""
        self._starts += 1
        if self._starts > _STARTS:
            log.debug("the guard of the workers ended %d times and is not started again", _STARTS)
            return
        try:
            theirs, ours = os.pipe()  # our end is inherited by nobody
        except OSError as error:
            log.debug("the guard of the workers cannot be started: %s", error)
            return
        try:
            self._popen = subprocess.Popen(
                [SHELL, "-c", _SCRIPT, NAME, f"{strays.VARIABLE}={self._mark}"],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,  # Ctrl-C on a terminal is not for it
            )
        except OSError as error:
            os.close(ours)
            log.debug("the guard of the workers cannot be started: %s", error)
            return
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self._pipe = ours
        self._watch = Watch(self._popen, loop, lambda: self._again(loop))
        self._send()

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._forget()
        self.start(loop)

    def tell(self, groups: Iterable[int]) -> None:
        """From now on these process groups are to be killed when the server is gone."""
        self._line = " ".join(map(str, groups)).encode() + b"\n"
        self._send()

    def _send(self) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, self._line)
        except (
            OSError
        ) as error:  # it has just ended, which is noticed, or it was stopped and the pipe is full
            log.debug("the guard of the workers cannot be told: %s", error)
            if self._popen is not None and isinstance(error, BlockingIOError):
                self._popen.kill()  # the next one is told

    def _forget(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def stop(self) -> None:
        """End it; it kills nobody."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None
        self._forget()
