"""`python -m cog.server.http`: joins all parts and serves the model of this folder."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cog import bundle
from cog import settings as options
from cog.backend.gpus import Gpus, choose
from cog.backend.head_start import HeadStart
from cog.backend.owner import Spec
from cog.backend.poll import poll_of
from cog.errors import CogError
from cog.files.folders import RuntimeFolder, unusable
from cog.server import init, memory, open_files, orders
from cog.server.lifecycle import Lifecycle, owned_by
from cog.server.source import Source, locate
from cog.settings import Settings
from cog.telemetry import logs

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("cog.server")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end; gives the exit code: 0, or 1 for what a person has to mend first."""
    init.take_over()
    memory.give_back_early()
    _occupy_descriptors()
    lifecycle = Lifecycle()
    lifecycle.watch_signals()
    try:
        arguments = orders.taken(list(sys.argv[1:] if argv is None else argv))
        settings = options.read(arguments, os.environ)
        logs.configure(settings.log_level, settings.log_format, sys.stderr)
        for warning in settings.warnings:
            log.warning("%s", warning)
        source = locate(settings, Path.cwd())
        owner = None if settings.owner_fd is None else owned_by(settings.owner_fd)
        with RuntimeFolder() as folders:
            _serve(settings, source, folders, lifecycle, owner)
    except CogError as error:
        if sys.stderr is not None:
            sys.stderr.write(f"cog: {error}\n")
            sys.stderr.flush()
        return error.exit_code
    return 0


def _serve(
    settings: Settings, source: Source, folders: RuntimeFolder, lifecycle: Lifecycle, owner: int | None
) -> None:
    """Serve until told to end. While the parts of the server are imported the first worker's Python starts: that is half
    of the time in which a model without weights is ready."""
    if owner is not None:
        lifecycle.end_with(owner, partial(_leave, folders), hold=settings.hold)
    spec = _spec(settings, source, folders)
    with contextlib.nullcontext() if settings.reload else HeadStart(spec) as first:
        from cog.server.parts import Server, sockets_of

        sockets = sockets_of(settings)
        server = Server(settings, source, folders, lifecycle, spec, first)
        lifecycle.arm(ignore_sigterm=settings.await_explicit_shutdown, at_once=server.end_at_once)
        if not lifecycle.told:
            _new_loop().run_until_complete(server.serve(sockets))


def _leave(folders: RuntimeFolder, code: int) -> NoReturn:
    """End before there is a server. A worker that has started ends with this process."""
    folders.remove(folders.path)
    os._exit(code)


def _occupy_descriptors() -> None:
    """Standard streams that were closed lead nowhere: a socket must not get their number, prints would go into it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _new_loop() -> asyncio.AbstractEventLoop:
    import asyncio

    try:
        import uvloop
    except ImportError:  # where it cannot be installed asyncio's own loop serves, only slower
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _spec(settings: Settings, source: Source, folders: RuntimeFolder) -> Spec:
    allowed = open_files.allow()  # for connections; the model gets what the server was started with
    kit = Path(folders.path) / "sdk"
    try:
        bundle.build(kit)
    except OSError as error:
        raise unusable(os.path.dirname(folders.path), error) from error
    flags = ("--open-files", str(allowed), *(("--fresh",) if settings.reload else ()))
    train = settings.mode == "train"
    return Spec(
        command=(settings.worker_python or sys.executable, "-u", str(kit), *flags),
        reference=source.reference,
        folder=str(source.folder),
        environment=dict(
            os.environ, COG_MAX_OUTPUT=str(settings.max_output)
        ),  # in bytes, for `worker/outputs.py`
        max_concurrency=None
        if train
        else settings.max_concurrency or source.max_concurrency,  # of predictions
        train=train,
        gpus=_gpus(settings, source),
        busy_poll=poll_of(settings.busy_poll),
        cancel_grace=settings.cancel_grace,
        predict_timeout=None if train else settings.predict_timeout or None,
    )


def _gpus(settings: Settings, source: Source) -> Gpus:
    """Those that are divided among the workers. Without --gpus that is so only where several workers were asked for: one
    that is alone may spread over all of them, as models of Cog always could."""
    if settings.mode == "train":
        return Gpus() if settings.gpus is None else choose(settings.gpus, os.environ).together()
    number = settings.workers if settings.threads is None else settings.threads
    several = number is not None and number > 1
    if settings.gpus is None and not (several and source.gpu):
        return Gpus()
    return choose(settings.gpus, os.environ)


if __name__ == "__main__":
    # Everything has ended, or has been given up, in order; a thread that still waits for a name that does not resolve or
    # for a disk that does not answer, which sys.exit() would wait for, must not hold up the end.
    os._exit(main())
