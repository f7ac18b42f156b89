"""When a child process ends: noticed at once, reaped at once, told once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable


class Watch:
    """Calls `call` on `loop` once, after the process has ended and was reaped; not after `close()`."""

    def __init__(
        self, popen: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, call: Callable[[], None]
    ) -> None:
        self._popen = popen
        self._loop = loop
        self._call: Callable[[], None] | None = call
        self._descriptor: int | None = None
        if hasattr(os, "pidfd_open"):
            try:
                self._descriptor = os.pidfd_open(popen.pid)
            except OSError:
                pass  # a kernel without it, or too many open files: wait in a thread
            else:
                loop.add_reader(self._descriptor, self._tell)
                return
        threading.Thread(target=self._wait, name="cog-wait", daemon=True).start()

    def _wait(self) -> None:
        self._popen.wait()
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:
            return  # the loop is closed: nobody is left to be told

    def _tell(self) -> None:
        call = self._call
        self.close()
        self._popen.wait()
        if call is not None:
            call()

    def close(self) -> None:
        """Watch no longer."""
        self._call = None
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
