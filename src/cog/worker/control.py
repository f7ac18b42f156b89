"""The control socket: cancel, health check, ping, and the server's death. Served by a daemon thread, so that it
answers while the model computes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from cog.errors import ProtocolError
from cog.worker.calls import PAUSE
from cog.worker.frames import FrameReader
from cog.worker.messages import (
    CHANNEL_BROKEN,
    Alive,
    AskHealth,
    Cancel,
    Down,
    Healthy,
    Load,
    Look,
    Ping,
    Start,
    StartBatch,
    TooLate,
    Up,
    read_down,
)

# Not a signal that libraries use: a real-time one on Linux, SIGUSR2 where there are none (macOS).
CANCEL_SIGNAL: Final[int] = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2

Answer = Callable[[bool, str | None], None]


class Engine(Protocol):
    """What the control thread asks of the engine that runs the model. Called from the control thread."""

    def cancel(self, number: int) -> bool:
        """Begin to cancel a run. False when it is not running (any more)."""

    def nudge(self) -> bool:
        """Interrupt a run again that may have swallowed its cancel. False when there is nothing to do."""

    def check_health(self, answer: Answer) -> None:
        """Ask the model how it is; `answer` may be called later and from any thread."""


class Control(threading.Thread):
    """Serves the control socket until the server is gone; then this process group is killed."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(name="cog-control", daemon=True)
        self._sock = sock
        self._lock = threading.Lock()
        self.engine: Engine | None = None

    def run(self) -> None:
        """Serve until the end of the server, which is the end of this process too."""
        try:
            self._serve()
        except ConnectionError:
            end_group()  # the server is gone, and had not read everything
        except (OSError, ProtocolError):
            leave_broken()
        end_group()

    def _serve(self) -> None:
        reader = FrameReader()
        nudging = False
        while True:
            ready, _, _ = select.select([self._sock], [], [], PAUSE if nudging else None)
            if ready:
                data = self._sock.recv(65536)
                if not data:
                    return
                for frame in reader.feed(data):
                    nudging = self._take(read_down(frame)) or nudging
            elif nudging:
                nudging = self.engine is not None and self.engine.nudge()

    def _take(self, message: Down) -> bool:
        """Act on one message; True when a run was interrupted and may need another interruption."""
        match message:
            case Cancel(number):
                if self.engine is not None and self.engine.cancel(number):
                    return True
                self._send(TooLate(number))
            case AskHealth(seq):
                self._check_health(seq)
            case Ping():
                self._send(Alive())
            case Load() | Start() | StartBatch() | Look():
                raise OSError(f"{type(message).__name__} does not come on the control socket")
        return False

    def _check_health(self, seq: int) -> None:
        def answer(healthy: bool, message: str | None) -> None:
            self._send(Healthy(seq, healthy, message))

        if self.engine is None:
            answer(True, None)
        else:
            self.engine.check_health(answer)

    def _send(self, message: Up) -> None:
        with self._lock:
            self._sock.sendall(message.pack())


def leave_broken() -> NoReturn:
    """End this process, whose channel cannot be used any more; the exit code and a line on stderr say why."""
    try:
        os.write(2, b"cog: the channel of this worker was closed from inside, so it ends. Model code that closes descriptors "
                    b"it did not open (os.closerange, os.close) does this.\n")  # fmt: skip
    except OSError:
        pass  # that one was closed too: the exit code is left
    os._exit(CHANNEL_BROKEN)


def end_group() -> NoReturn:
    """Kill this process and every child it has left in its process group."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
