"""All parts of a server, joined. It takes a while to import them; `server/http.py` does so when it has begun."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from socket import socket
from typing import Final, NoReturn

from cog.backend.head_start import HeadStart
from cog.backend.local import LocalBackend
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.backend.succession import Succession
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
from cog.server.listener import adopt, bind, url_of
from cog.server.reload import follow
from cog.server.routes import Routes
from cog.server.source import Source
from cog.service.journey import Courier
from cog.service.service import Service
from cog.settings import Settings
from cog.store.memory import MemoryStore
from cog.telemetry.ends import PredictionEnds
from cog.telemetry.prints import PredictionPrints, show

log = logging.getLogger("cog.server")

# Seconds, from the contract: the last webhooks get this long, open answers too.
WEBHOOKS_TIMEOUT: Final = 5.0


def sockets_of(settings: Settings) -> list[socket]:
    """The sockets to serve on, which listen already.

    Raises:
        SettingError: they cannot be had.
    """
    return bind(settings.host, settings.port) if settings.listen_fd is None else adopt(settings.listen_fd)


class Server:
    """All parts of one server, joined."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        folders: RuntimeFolder,
        lifecycle: Lifecycle,
        spec: Spec,
        first: HeadStart | None,
    ) -> None:
        """`first` is the process of the first worker, where that was started already."""
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
        self._always: tuple[Listener, ...] = (PredictionPrints(), self._store)
        if settings.log_predictions:
            self._always += (PredictionEnds(),)
        self._source = source
        self._backend = self._backend_of(spec, first)
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
            stream_history=settings.stream_history,
        )
        self._create = Create(self._service, self._store, policy, settings.max_body)

    def _backend_of(self, spec: Spec, first: HeadStart | None) -> LocalBackend | Succession:
        pool = _pool(self._settings, self._source)
        if not self._settings.reload:
            return LocalBackend(spec, pool, first=first)
        return Succession(lambda aside: LocalBackend(spec, pool, aside=aside))

    def _audience(self, request: PredictionRequest) -> Sequence[Listener]:
        if request.webhook is None:
            return self._always
        return (*self._always, self._webhooks.listener(request.webhook))

    async def serve(self, sockets: list[socket]) -> None:
        """Serve on `sockets` until the end is told, then end everything in order."""
        routes = Routes(self._service, self._store, self._lifecycle.shut_down)
        listener = HttpListener(
            Application(self._create, routes), sockets, client_timeout=self._settings.client_timeout
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            stack.push_async_callback(self._backend.stop)
            if isinstance(self._backend, Succession):
                stack.enter_context(follow(self._source, self._backend, self._service))
            await self._lifecycle.released()
            await self._service.start()
            await listener.open()
            _tell_where(sockets)
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


def _tell_where(sockets: list[socket]) -> None:
    urls = list(dict.fromkeys(map(url_of, sockets)))
    fields = {"urls": urls, "docs": f"{urls[0]}/docs"}
    log.info("listening on %s", " and ".join(urls), extra={"fields": fields, "told": ("urls",)})


def _pool(settings: Settings, source: Source) -> Pool:
    threads = settings.threads
    if threads is None and (source.gpu or settings.reload):
        threads = 1
    return Pool(threads, settings.max_concurrency or source.max_concurrency, settings.setup_timeout)
