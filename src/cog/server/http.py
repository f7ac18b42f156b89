"""`python -m cog.server.http`: joins all parts and serves the model of this folder."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from socket import socket
from typing import Final, NoReturn

from cog import bundle
from cog import settings as options
from cog.backend.local import LocalBackend
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.errors import CogError
from cog.files.fetch import Fetcher
from cog.files.folders import RuntimeFolder, unusable
from cog.files.publish import Publisher
from cog.net.client import Client
from cog.net.policy import UrlPolicy
from cog.notify.webhooks import Webhooks
from cog.prediction.record import Listener
from cog.prediction.request import PredictionRequest
from cog.server import init, memory
from cog.server.app import Application
from cog.server.create import Create
from cog.server.lifecycle import Lifecycle, owned_by
from cog.server.listener import Listener as HttpListener
from cog.server.listener import adopt, allow_open_files, bind, url_of
from cog.server.routes import Routes
from cog.server.source import Source, locate
from cog.service.journey import Courier
from cog.service.service import Service
from cog.settings import Settings
from cog.store.memory import MemoryStore
from cog.telemetry import logs
from cog.telemetry.prints import PredictionPrints, show

log = logging.getLogger("cog.server")

# Seconds, from the contract: the last webhooks get this long, open answers too.
WEBHOOKS_TIMEOUT: Final = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end; gives the exit code: 0, or 1 for what a person has to mend first."""
    init.take_over()
    memory.give_back_early()
    _occupy_descriptors()
    lifecycle = Lifecycle()
    lifecycle.watch_signals()
    try:
        settings = options.read(sys.argv[1:] if argv is None else argv, os.environ)
        logs.configure(settings.log_level, settings.log_format, sys.stderr)
        for warning in settings.warnings:
            log.warning("%s", warning)
        source = locate(settings, Path.cwd())
        sockets = _sockets(settings)
        owner = None if settings.owner_fd is None else owned_by(settings.owner_fd)
        with RuntimeFolder() as folders:
            server = Server(settings, source, folders, lifecycle)
            lifecycle.arm(ignore_sigterm=settings.await_explicit_shutdown, at_once=server.end_at_once)
            if owner is not None:
                lifecycle.end_with(owner)
            if not lifecycle.told:
                _new_loop().run_until_complete(server.serve(sockets))
    except CogError as error:
        if sys.stderr is not None:
            sys.stderr.write(f"cog: {error}\n")
            sys.stderr.flush()
        return error.exit_code
    return 0


def _sockets(settings: Settings) -> list[socket]:
    return bind(settings.host, settings.port) if settings.listen_fd is None else adopt(settings.listen_fd)


def _occupy_descriptors() -> None:
    """Standard streams that were closed lead nowhere: a socket must not get their number, prints would go into it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # where it cannot be installed asyncio's own loop serves, only slower
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Server:
    """All parts of one server, joined."""

    def __init__(
        self, settings: Settings, source: Source, folders: RuntimeFolder, lifecycle: Lifecycle
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._lifecycle = lifecycle
        policy = UrlPolicy(settings.url_policy)
        self._client = Client(policy, user_agent=settings.user_agent)
        self._webhooks = Webhooks(
            self._client,
            interval=settings.throttle_interval,
            token=settings.webhook_auth_token,
            keys=settings.webhook_signing_secrets or (),
        )
        self._store = MemoryStore(settings.keep)
        self._prints = PredictionPrints()
        open_files = allow_open_files()  # for connections; the model gets what the server was started with
        self._backend = LocalBackend(_spec(settings, source, folders, open_files), _pool(settings, source))
        courier = Courier(
            folders,
            Fetcher(self._client, max_bytes=settings.max_download, timeout=settings.download_timeout),
            Publisher(self._client, upload_url=settings.upload_url),
            max_output=settings.max_output,
        )
        self._service = Service(
            self._backend,
            courier,
            self._audience,
            show,
            local_files=settings.allow_local_files,
            max_files=settings.max_files,
        )
        self._create = Create(self._service, self._store, policy, settings.max_body)

    def _audience(self, request: PredictionRequest) -> Sequence[Listener]:
        if request.webhook is None:
            return (self._prints, self._store)
        return (self._prints, self._store, self._webhooks.listener(request.webhook))

    async def serve(self, sockets: list[socket]) -> None:
        """Serve on `sockets` until the end is told, then end everything in order."""
        routes = Routes(self._service, self._store, self._lifecycle.shut_down)
        listener = HttpListener(
            Application(self._create, routes), sockets, client_timeout=self._settings.client_timeout
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            stack.push_async_callback(self._backend.stop)
            await self._service.start()
            await listener.open()
            urls = list(dict.fromkeys(map(url_of, sockets)))
            log.info("listening on %s", " and ".join(urls), extra={"fields": {"urls": urls}})
            gc.freeze()  # what is there now stays: the collector need not look at it again
            await self._lifecycle.ended()
            listener.drain()
            await self._service.drain(self._settings.drain_timeout, self._settings.cancel_grace)
            await self._webhooks.close(WEBHOOKS_TIMEOUT)
            await listener.close(WEBHOOKS_TIMEOUT)
        log.info("the server has ended")

    def end_at_once(self, code: int) -> NoReturn:
        """Kill the workers with all their children, remove the files, and end this process with `code`."""
        self._backend.kill()
        self._folders.remove(self._folders.path)
        os._exit(code)


def _spec(settings: Settings, source: Source, folders: RuntimeFolder, open_files: int) -> Spec:
    kit = Path(folders.path) / "sdk"
    try:
        bundle.build(kit)
    except OSError as error:
        raise unusable(os.path.dirname(folders.path), error) from error
    return Spec(
        command=(settings.worker_python or sys.executable, "-u", str(kit), "--open-files", str(open_files)),
        reference=source.reference,
        folder=str(source.folder),
        environment=dict(
            os.environ, COG_MAX_OUTPUT=str(settings.max_output)
        ),  # in bytes, for `worker/outputs.py`
        max_concurrency=settings.max_concurrency,
        cancel_grace=settings.cancel_grace,
    )


def _pool(settings: Settings, source: Source) -> Pool:
    threads = settings.threads
    if threads is None and source.gpu:
        threads = 1
    return Pool(threads, settings.max_concurrency or source.max_concurrency, settings.setup_timeout)


if __name__ == "__main__":
    # Everything has ended, or has been given up, in order; a thread that still waits for a name that does not resolve or
    # for a disk that does not answer, which sys.exit() would wait for, must not hold up the end.
    os._exit(main())
