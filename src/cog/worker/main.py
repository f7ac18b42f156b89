"""The life of a worker process: connect, load the model, set it up, run it."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import fcntl
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Final

from cog.errors import ProtocolError
from cog.signature import wire
from cog.worker import failures, handlers, sources, threads
from cog.worker.asynchronous import AsyncEngine
from cog.worker.capture import Capture, utf8
from cog.worker.channel import Channel
from cog.worker.control import Control, end_group, leave_broken
from cog.worker.messages import Broken, Load, Ready
from cog.worker.model import Model
from cog.worker.runs import Runs
from cog.worker.synchronous import SyncEngine

# Of -1000 to 1000 (proc(5), oom_score_adj): before the server and what else runs beside it.
_OOM_SCORE: Final = 500
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
# Above the descriptors that models close in a row, below what select() can watch (1,024).
_HIGH: Final = 900


def main() -> None:
    """Run a worker on two sockets that were inherited from the server: `--data FD --control FD`."""
    parser = argparse.ArgumentParser(prog="cog.worker")
    parser.add_argument("--data", type=int, required=True, help="descriptor of the data socket")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the control socket")
    parser.add_argument("--open-files", type=int, help="descriptors that the model may have open (ulimit -n)")
    parser.add_argument(
        "--fresh", action="store_true", help="never trust a compiled form of the model's source"
    )
    options = parser.parse_args()
    if options.open_files is not None:  # the server has more; models may use select(), which has its limit
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.open_files, most))
    _die_with_parent()
    _die_first()
    faulthandler.enable()  # a crash in C code then prints where Python was, into the logs of the prediction
    channel = Channel(_adopt(options.data))
    control = Control(_adopt(options.control))
    capture = Capture(channel)
    capture.install()
    threads.follow()
    handlers.watch()
    control.start()
    order = next(channel.receive(), None)
    if isinstance(order, Load):
        if options.fresh:
            sources.read_anew(Path(order.folder))
        _serve(order, channel, capture, control)
    capture.end(None)


def _serve(order: Load, channel: Channel, capture: Capture, control: Control) -> None:
    loop = _new_loop()
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
        handlers.shield(engine.inside, runs.tell)
        capture.end(None)
        channel.send(Ready(dict(wire.dump(model.signature))))
        try:
            engine.serve()
        except (OSError, ProtocolError):
            leave_broken()
        except BaseException:  # noqa: BLE001  nothing is left to serve with, and threads of the model must not keep us
            capture.write("stderr", traceback.format_exc())
            capture.end(None)
            os._exit(1)


def _prepare(order: Load, loop: asyncio.AbstractEventLoop) -> Model:
    folder = Path(order.folder)
    sys.argv = [str(folder / order.reference.partition(":")[0])]
    model = Model.load(order.reference, folder, order.max_concurrency, train=order.train, survey=order.survey)
    if not order.survey:
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


def _new_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose descriptors lie as high as the sockets: the low ones are taken while it is made."""
    taken: list[int] = []
    try:
        while not taken or taken[-1] < _HIGH:
            taken.append(os.dup(0))
    except OSError:  # so many descriptors are not allowed here
        _close(taken)
    try:
        return asyncio.new_event_loop()
    finally:
        _close(taken)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the server dies. Elsewhere the end of the control socket does it alone."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        return  # the control socket is enough, only slower for a worker that holds the GIL


def _die_first() -> None:
    """When memory runs out let Linux take the worker, which is replaced, and not the server."""
    place = Path("/proc/self/oom_score_adj")
    try:
        if int(place.read_text()) < _OOM_SCORE:
            place.write_text(str(_OOM_SCORE))
    except (OSError, ValueError):
        return  # not Linux, or not allowed: then it is as the system decides
