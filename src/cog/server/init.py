"""Process 1 of a container has duties: what loses its parent becomes its child, and stays a zombie until it is waited for.

Images have an init for that (tini). Where the server itself is started as process 1, it hands the duties to a parent of its
own, which does nothing else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

_HANDED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def take_over(exit_: Callable[[int], object] = os._exit) -> None:
    """As process 1: go on as a child of it, which hands on signals, waits for everybody and ends as the child ends.

    To be called before there are threads. Any other process just goes on.
    """
    if os.getpid() != 1:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON)  # none may come before we know whom it is for
    child = os.fork()
    if child != 0:
        for number in _HANDED_ON:
            signal.signal(number, lambda number, _: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDED_ON)
    if child != 0:
        exit_(_reap_until(child))


def _reap_until(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code  # as shells say it
