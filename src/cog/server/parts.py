"""All parts of a server, joined. It takes a while to import them; `server/http.py` does so when it has begun."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from socket import socket
from typing import Final, NoReturn

from cog.backend.head_start import HeadStart
from cog.backend.local import LocalBackend
from cog.backend.occasional import Occasional
from cog.backend.owner import Spec
from cog.backend.pool import Pool
from cog.backend.succession import Succession
from cog.files.fetch import Fetcher
from cog.files.folders import RuntimeFolder
from cog.files.publish import Publisher
from cog.files.shelf import Shelf
from cog.net.client import Client
from cog.net.policy import UrlPolicy
from cog.notify.webhooks import Webhooks
from cog.prediction.events import Done, Log
from cog.prediction.record import Listener
from cog.prediction.request import PredictionRequest
from cog.schema.task import PREDICT, TRAIN, Task
from cog.server.app import Application
from cog.server.bundled import compare
from cog.server.create import Create
from cog.server.desk import Desk
from cog.server.lifecycle import Lifecycle
from cog.server.listener import Listener as HttpListener
from cog.server.listener import adopt, bind, url_of
from cog.server.reload import follow
from cog.server.source import Source
from cog.server.traffic import App
from cog.service.capacity import Limits
from cog.service.courier import Courier
from cog.service.service import Service
from cog.service.wording import PREDICTIONS, TRAININGS, TRAININGS_BESIDE, Wording
from cog.settings import Settings
from cog.store.memory import MemoryStore
from cog.telemetry.ends import PredictionEnds
from cog.telemetry.prints import PredictionPrints, show

log = logging.getLogger("cog.server")

# Seconds, from the contract: the last webhooks get this long, open answers too.
WEBHOOKS_TIMEOUT: Final = 5.0
# Seconds, at most, that an ended prediction takes memory after its time.
SWEEP: Final = 60.0


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
        self._source = source
        self._policy = policy
        self._backend = self._backend_of(spec, first)
        self._shelf = Shelf(folders)
        self._task, wording = (TRAIN, TRAININGS) if spec.train else (PREDICT, PREDICTIONS)
        self._model = self._desk(self._backend, self._task, wording)
        if self._task is PREDICT:
            compare(source.folder, self._model.service)
        self._learner: Occasional | None = None
        self._training: Desk | None = None
        if source.train is not None:
            self._learner = self._learner_of(replace(spec, reference=source.train), source.train)
            self._training = self._desk(self._learner, TRAIN, TRAININGS_BESIDE)

    def _backend_of(self, spec: Spec, first: HeadStart | None) -> LocalBackend | Succession:
        pool = _pool(self._settings, self._source, spec)
        if not self._settings.reload:
            return LocalBackend(spec, pool, first=first)
        return Succession(lambda aside: LocalBackend(spec, pool, aside=aside))

    def _learner_of(self, spec: Spec, reference: str) -> Occasional:
        spec = replace(
            spec, max_concurrency=None, train=True, predict_timeout=None, gpus=spec.gpus.together()
        )
        pool = Pool(1, 1, self._settings.setup_timeout)
        return Occasional(
            lambda survey: LocalBackend(replace(spec, survey=survey), pool, aside=True), reference
        )

    def _desk(self, backend: LocalBackend | Succession | Occasional, task: Task, wording: Wording) -> Desk:
        """Predictions, or trainings: each with a registry of their own, and everything else through the same classes."""
        settings = self._settings
        store = MemoryStore(settings.keep)
        ends: tuple[Listener, ...] = (
            (store, PredictionEnds(task.noun)) if settings.log_predictions else (store,)
        )
        courier = Courier(
            self._folders,
            Fetcher(self._client, max_bytes=settings.max_download, timeout=settings.download_timeout),
            Publisher(self._client, upload_url=settings.upload_url),
            max_output=settings.max_output,
            shelf=self._shelf,
        )
        service = Service(
            backend,
            courier,
            self._audience,
            show,
            local_files=settings.allow_local_files,
            max_files=settings.max_files,
            stream_history=settings.stream_history,
            standing={Log: (PredictionPrints(),), Done: ends},
            wording=wording,
            limits=Limits(
                0 if isinstance(backend, Occasional) else settings.max_queue,
                settings.queue_timeout,
                settings.max_batch_size,
                settings.max_batch_wait,
            ),
        )
        return Desk(service, store, Create(service, store, self._policy, settings.max_body, task=task))

    def _audience(self, request: PredictionRequest) -> Sequence[Listener]:
        return () if request.webhook is None else (self._webhooks.listener(request.webhook),)

    def _others(self) -> App:
        from cog.server.addresses import addresses

        learning = None
        if self._learner is not None and self._training is not None:
            learning = self._learner, self._training
        shut_down, max_body = self._lifecycle.shut_down, self._settings.max_body
        return addresses(self._model, self._task, shut_down, self._shelf, max_body, learning)

    async def serve(self, sockets: list[socket]) -> None:
        """Serve on `sockets` until the end is told, then end everything in order."""
        application = Application(self._model.create, self._others, path=self._task.path)
        timeout = self._settings.client_timeout
        listener = HttpListener(
            application,
            sockets,
            client_timeout=timeout,
            at_once=application.at_once,
        )
        desks = [desk for desk in (self._model, self._training) if desk is not None]
        services, stores = [desk.service for desk in desks], [desk.store for desk in desks]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            stack.push_async_callback(_stop, services)
            if isinstance(self._backend, Succession):
                forget = self._learner.forget if self._learner is not None else lambda: None
                stack.enter_context(follow(self._source, self._backend, self._model.service, forget))
            await self._lifecycle.released()
            for service in services:
                await service.start()
            await listener.open()
            stack.enter_context(_sweeping(stores, self._settings.keep))
            _tell_where(sockets)
            # In a thread: meanwhile the first worker gets its order.
            await asyncio.to_thread(import_module, "cog.server.addresses")
            application.complete()
            gc.freeze()  # what is there now stays: the collector need not look at it again

            def close() -> None:
                listener.drain()
                for service in services:
                    service.close()

            self._lifecycle.begin_with(close)
            await self._lifecycle.ended()
            close()  # once more does no harm, and the end may have been told before
            settings = self._settings
            await asyncio.gather(
                *(service.drain(settings.drain_timeout, settings.cancel_grace) for service in services)
            )
            await self._webhooks.close(WEBHOOKS_TIMEOUT)
            await listener.close(WEBHOOKS_TIMEOUT)
        log.info("the server has ended")

    def end_at_once(self, code: int) -> NoReturn:
        """Kill the workers with all their children, remove the files, and end this process with `code`."""
        self._backend.kill()
        if self._learner is not None:
            self._learner.kill()
        self._folders.remove(self._folders.path)
        os._exit(code)


@contextmanager
def _sweeping(stores: Sequence[MemoryStore], keep: float) -> Iterator[None]:
    """Meanwhile what was kept for `keep` seconds goes soon after, also when nobody asks for anything."""
    loop = asyncio.get_running_loop()
    every = min(max(keep / 4, 1.0), SWEEP)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(every)
            for store in stores:
                store.sweep(time.time())

    sweeping = loop.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()


async def _stop(services: Sequence[Service]) -> None:
    await asyncio.gather(*(service.backend.stop() for service in services))


def _tell_where(sockets: list[socket]) -> None:
    urls = list(dict.fromkeys(map(url_of, sockets)))
    fields = {"urls": urls, "docs": f"{urls[0]}/docs"}
    log.info("listening on %s", " and ".join(urls), extra={"fields": fields, "told": ("urls",)})


def _pool(settings: Settings, source: Source, spec: Spec) -> Pool:
    gpus = 0 if spec.train else len(spec.gpus.names)
    threads = settings.threads
    workers = None if spec.train else settings.workers
    one = not gpus and (source.gpu or settings.reload)
    if threads is None and workers is None and (one or spec.train):
        threads = 1  # a training may take all that the machine has
    concurrency = None if spec.train else settings.max_concurrency or source.max_concurrency
    if spec.train:
        return Pool(threads, concurrency, settings.setup_timeout)
    return Pool(
        threads,
        concurrency,
        settings.setup_timeout,
        workers,
        gpus,
        settings.max_predictions_per_worker,
        settings.max_worker_memory,
    )
