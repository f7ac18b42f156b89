"""The life of a worker process: connect, load the model, set it up, run it."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from cog.signature import wire
from cog.worker import failures
from cog.worker.asynchronous import AsyncEngine
from cog.worker.capture import Capture, utf8
from cog.worker.channel import Channel
from cog.worker.control import Control, end_group, tell_closed
from cog.worker.messages import Broken, Load, Ready
from cog.worker.model import Model
from cog.worker.runs import Runs
from cog.worker.synchronous import SyncEngine

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
# Above the descriptors that models close in a row, below what select() can watch (1,024).
_HIGH: Final = 900


def main() -> None:
    """Run a worker on two sockets that were inherited from the server: `--data FD --control FD`."""
    parser = argparse.ArgumentParser(prog="cog.worker")
    parser.add_argument("--data", type=int, required=True, help="descriptor of the data socket")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the control socket")
    options = parser.parse_args()
    _die_with_parent()
    faulthandler.enable()  # a crash in C code then prints where Python was, into the logs of the prediction
    channel = Channel(_adopt(options.data))
    control = Control(_adopt(options.control))
    capture = Capture(channel)
    capture.install()
    control.start()
    order = next(channel.receive(), None)
    if isinstance(order, Load):
        _serve(order, channel, capture, control)
    capture.end(None)


def _serve(order: Load, channel: Channel, capture: Capture, control: Control) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        model = _prepare(order, loop)
    except BaseException as error:  # noqa: BLE001  any end of the model's own setup, sys.exit() included, is reported
        capture.flush("stdout")
        capture.write("stderr", failures.model_traceback(error))
        capture.end(None)
        channel.send(Broken(utf8(failures.summary(error)).decode()))
        end_group()
    else:
        runs = Runs(channel, capture)
        engine = AsyncEngine(model, runs, loop) if model.signature.is_async else SyncEngine(model, runs)
        control.engine = engine
        capture.end(None)
        channel.send(Ready(dict(wire.dump(model.signature))))
        try:
            engine.serve()
        except OSError:
            tell_closed()
            os._exit(1)


def _prepare(order: Load, loop: asyncio.AbstractEventLoop) -> Model:
    folder = Path(order.folder)
    sys.argv = [str(folder / order.reference.partition(":")[0])]
    model = Model.load(order.reference, folder, order.max_concurrency)
    model.setup(loop)
    return model


def _adopt(fd: int) -> socket.socket:
    """Take over an inherited socket; the model's own children must not inherit it."""
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except (OSError, ValueError):  # so many descriptors are not allowed here
        os.set_inheritable(fd, False)
        high = fd
    else:
        os.close(fd)
    sock = socket.socket(fileno=high)
    sock.setblocking(True)
    return sock


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the server dies. Elsewhere the end of the control socket does it alone."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        return  # the control socket is enough, only slower for a worker that holds the GIL
