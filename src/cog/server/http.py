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
from typing import Final

from cog import settings as options
from cog.backend import bundle
from cog.backend.local import LocalBackend, Pool
from cog.backend.owner import Spec
from cog.errors import CogError
from cog.files.fetch import Fetcher
from cog.files.folders import RuntimeFolder
from cog.files.publish import Publisher
from cog.net.client import Client
from cog.net.policy import UrlPolicy
from cog.notify.webhooks import Webhooks
from cog.prediction.record import Listener
from cog.prediction.request import PredictionRequest
from cog.server.app import Application
from cog.server.create import Create
from cog.server.lifecycle import Lifecycle
from cog.server.listener import Listener as HttpListener
from cog.server.listener import bind, url_of
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
    try:
        settings = options.read(sys.argv[1:] if argv is None else argv, os.environ)
        logs.configure(settings.log_level, settings.log_format, sys.stderr)
        for warning in settings.warnings:
            log.warning("%s", warning)
        source = locate(settings, Path.cwd())
        sockets = bind(settings.host, settings.port)
    except CogError as error:
        sys.stderr.write(f"cog: {error}\n")
        return error.exit_code
    with RuntimeFolder() as folders:
        _run(Server(settings, source, folders), sockets)
    return 0


def _run(server: Server, sockets: list[socket]) -> None:
    try:
        import uvloop
    except ImportError:  # where it cannot be installed asyncio's own loop serves, only slower
        asyncio.run(server.serve(sockets))
    else:
        uvloop.run(server.serve(sockets))


class Server:
    """All parts of one server, joined."""

    def __init__(self, settings: Settings, source: Source, folders: RuntimeFolder) -> None:
        self._settings = settings
        self._folders = folders
        policy = UrlPolicy(settings.url_policy)
        self._client = Client(policy, user_agent=settings.user_agent)
        self._webhooks = Webhooks(
            self._client, interval=settings.throttle_interval, token=settings.webhook_auth_token
        )
        self._store = MemoryStore(settings.keep)
        self._prints = PredictionPrints()
        self._backend = LocalBackend(_spec(settings, source, folders), _pool(settings, source))
        courier = Courier(
            folders,
            Fetcher(self._client, max_bytes=settings.max_download),
            Publisher(self._client, upload_url=settings.upload_url),
        )
        self._service = Service(
            self._backend, courier, self._audience, show, local_files=settings.allow_local_files
        )
        self._create = Create(self._service, self._store, policy, settings.max_body)

    def _audience(self, request: PredictionRequest) -> Sequence[Listener]:
        if request.webhook is None:
            return (self._prints, self._store)
        return (self._prints, self._store, self._webhooks.listener(request.webhook))

    async def serve(self, sockets: list[socket]) -> None:
        """Serve on `sockets` until the end is told, then end everything in order."""
        lifecycle = Lifecycle(
            ignore_sigterm=self._settings.await_explicit_shutdown, at_once=self._end_at_once
        )
        routes = Routes(self._service, self._store, lifecycle.shut_down)
        listener = HttpListener(Application(self._create, routes), sockets)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            lifecycle.watch_signals()
            stack.push_async_callback(self._backend.stop)
            await self._service.start()
            await listener.open()
            urls = list(dict.fromkeys(map(url_of, sockets)))
            log.info("listening on %s", " and ".join(urls), extra={"fields": {"urls": urls}})
            gc.freeze()  # what is there now stays: the collector need not look at it again
            await lifecycle.ended()
            await self._service.drain(self._settings.drain_timeout, self._settings.cancel_grace)
            await self._webhooks.close(WEBHOOKS_TIMEOUT)
            await listener.close(WEBHOOKS_TIMEOUT)
        log.info("the server has ended")

    def _end_at_once(self, code: int) -> None:
        self._backend.kill()
        self._folders.remove(self._folders.path)
        os._exit(code)


def _spec(settings: Settings, source: Source, folders: RuntimeFolder) -> Spec:
    kit = Path(folders.path) / "sdk"
    bundle.build(kit)
    return Spec(
        command=(settings.worker_python or sys.executable, "-u", str(kit)),
        reference=source.reference,
        folder=str(source.folder),
        environment=dict(os.environ),
        max_concurrency=settings.max_concurrency,
        cancel_grace=settings.cancel_grace,
    )


def _pool(settings: Settings, source: Source) -> Pool:
    threads = settings.threads
    if threads is None and source.gpu:
        threads = 1
    return Pool(threads, settings.max_concurrency or source.max_concurrency, settings.setup_timeout)


if __name__ == "__main__":
    sys.exit(main())
