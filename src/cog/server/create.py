"""Creating a prediction: POST /predictions and PUT /predictions/{id}, in the contract's order of checks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from cog.errors import CogError, InvalidRequest, NotAcceptable, Problem
from cog.net.policy import UrlPolicy
from cog.prediction.events import Done, Event, Status
from cog.prediction.record import Prediction
from cog.prediction.request import (
    ID_RULE,
    WEBHOOK_EVENTS,
    PredictionRequest,
    Webhook,
    new_id,
    valid_id,
)
from cog.schema.task import PREDICT, Task
from cog.schema.validate import LARGE
from cog.server.body import LargeBody
from cog.server.connection import connection_of
from cog.server.envelope import Envelope, read
from cog.server.exchange import Exchange
from cog.server.heads import Known
from cog.server.manner import Preference, accepts_event_stream, read_preference, trace_of
from cog.server.replay import Replay, replay
from cog.server.serving import defect
from cog.server.stream import Subscriber, subscribe
from cog.server.wire import (
    Answer,
    Receive,
    Scope,
    Send,
    error_answer,
    read_body,
    read_envelope,
)
from cog.service.service import Service
from cog.store.memory import MemoryStore

_APPLIED: Final = (b"preference-applied", b"respond-async")
_NO_STREAM: Final = {
    "predict": "this model does not support streaming responses: its run() yields nothing, or is not decorated with "
    "@cog.streaming. Send the request without Accept: text/event-stream",
    "train": "Training endpoints do not support streaming responses, unless train() yields and is decorated with "
    "@cog.streaming. Send the request without Accept: text/event-stream; GET /trainings/{id} with it attaches to any",
}


class Waiter:
    """A listener that completes a future at the end of a prediction."""

    __slots__ = ("_ended",)

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self._ended = ended

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Take one event."""
        if type(event) is Done and not self._ended.done():
            self._ended.set_result(None)


class Reply:
    """A listener that answers the waiting client at the end of a prediction. A client that goes away before cancels it."""

    __slots__ = ("_exchange", "_id", "_service")

    def __init__(self, exchange: Exchange, service: Service, prediction: Prediction) -> None:
        self._exchange = exchange
        self._service = service
        self._id = prediction.id
        prediction.listeners.append(self)
        exchange.when_lost(self._cancel)

    def _cancel(self) -> None:
        self._service.cancel(self._id)

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Take one event."""
        if type(event) is Done:
            self._exchange.when_lost(None)  # another prediction may have its id from now on
            try:
                answer = Answer(200, prediction.render())
            except Exception:  # noqa: BLE001  nobody else would answer the client
                answer = defect(self._exchange)
            self._exchange.reply(answer)


class Create:
    """An ASGI application for both routes; with PUT the path names the id."""

    def __init__(
        self,
        service: Service,
        store: MemoryStore,
        policy: UrlPolicy,
        max_body: int,
        *,
        task: Task = PREDICT,
    ) -> None:
        self._service = service
        self._task = task
        self._store = store
        self._policy = policy
        self._max_body = max_body

    def at_once(self, exchange: Exchange, known: Known, body: bytes) -> bool:
        """Answer a whole request without a task, now or at the end of its prediction: as `__call__` does, for what most
        clients send most of the time. False when it is another one, of which nothing was done."""
        manner = known.manner
        if not manner.ordinary or len(body) > self._max_body:
            return False
        try:
            envelope = read(body)
            running = None if envelope.id is None else self._service.find(envelope.id)
            if running is not None:
                exchange.reply(Answer(202, running.render()))
                return True
            self._service.check_ready()
            request = self._request(envelope, envelope.id or new_id(), manner.trace)
            prediction = self._service.submit(request, self._service.take(request.input))
        except CogError as error:
            exchange.reply(error_answer(error))
            return True
        if manner.preference.respond_async:
            exchange.reply(Answer(202, prediction.render(), (_APPLIED,)))
        elif prediction.status.terminal:
            exchange.reply(Answer(200, prediction.render()))
        else:
            Reply(exchange, self._service, prediction)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wanted: str | None = scope.get("path_params", {}).get("prediction_id")
        try:
            answer = await self._answer(scope, receive, wanted)
        except CogError as error:
            shown = wanted if wanted is not None and valid_id(wanted) else None
            answer = error_answer(error, shown, close=error.status == 413)
        await answer.send(send)

    async def _answer(
        self, scope: Scope, receive: Receive, wanted: str | None
    ) -> Answer | Subscriber | Replay:
        begun = await self._begin(scope, receive, wanted)
        if not isinstance(begun, Prediction):
            return begun
        if accepts_event_stream(scope):
            return subscribe(self._service, begun, scope, creates=True)
        preference = read_preference(scope)
        if preference.respond_async:
            return await _respond_async(begun, preference)
        return await self._wait(scope, begun)

    async def _begin(
        self, scope: Scope, receive: Receive, wanted: str | None
    ) -> Prediction | Answer | Subscriber | Replay:
        """A new prediction, or the answer for an id that is known. At its end the body is gone, however long the model
        takes."""
        content = await read_body(scope, receive, self._max_body)
        large = LargeBody(scope, content) if len(content) > LARGE else None
        envelope = read_envelope(scope, content) if large is None else await large.read()
        prediction_id = _agreed_id(envelope, wanted, self._task)
        known = await self._known(scope, prediction_id, idempotent=wanted is not None)
        if known is not None:
            return known
        self._service.check_ready()
        if accepts_event_stream(scope):
            self._check_streams()
        request = self._request(envelope, prediction_id or new_id(), trace_of(scope))
        if large is None:
            return self._service.submit(request, self._service.take(request.input))
        intake = await large.take(self._service, request.input)
        # Meanwhile another request may have had the same id, and the model may have gone.
        known = await self._known(scope, prediction_id, idempotent=wanted is not None)
        if known is not None:
            return known
        self._service.check_ready()
        return self._service.submit(request, intake)

    async def begin(self, scope: Scope, receive: Receive, members: Callable[[str], bytes]) -> Prediction:
        """A new prediction, under an id of ours whatever the body says, for other addresses that make some; `members`
        gives, for its id, what its webhooks have there in addition (`Webhook`).

        Raises:
            CogError: it was not accepted; the class says why.
        """
        content = await read_body(scope, receive, self._max_body)
        large = LargeBody(scope, content) if len(content) > LARGE else None
        envelope = read_envelope(scope, content) if large is None else await large.read()
        self._service.check_ready()
        request = self._request(envelope, new_id(), trace_of(scope))
        if request.webhook is not None:
            request = request._replace(webhook=replace(request.webhook, members=members(request.id)))
        if large is None:
            return self._service.submit(request, self._service.take(request.input))
        intake = await large.take(self._service, request.input)
        self._service.check_ready()  # the model may have gone meanwhile
        return self._service.submit(request, intake)

    def _check_streams(self) -> None:
        signature = self._service.backend.signature
        if signature is None or not signature.streaming:
            raise NotAcceptable(_NO_STREAM[self._task.verb])

    async def _known(
        self, scope: Scope, prediction_id: str | None, *, idempotent: bool
    ) -> Answer | Subscriber | Replay | None:
        """The answer for an id that is in flight, or (PUT only) that has succeeded and is still kept. Its events are
        there for every model, as with GET."""
        if prediction_id is None:
            return None
        running = self._service.find(prediction_id)
        if running is not None:
            if accepts_event_stream(scope):
                return subscribe(self._service, running, scope)
            return Answer(202, running.render())
        kept = self._store.get(prediction_id, time.time()) if idempotent else None
        if kept is None or kept.status is not Status.SUCCEEDED:
            return None
        if accepts_event_stream(scope):
            return await replay(kept, scope, yields=self._service.yields)
        return Answer(200, kept.body)

    def _request(self, envelope: Envelope, prediction_id: str, trace: Mapping[str, str]) -> PredictionRequest:
        webhook = None
        if envelope.webhook is not None:
            refusal = self._policy.refusal(envelope.webhook)
            if refusal is not None:
                raise InvalidRequest(
                    [Problem(("body", "webhook"), f"the webhook URL cannot be used: {refusal}")]
                )
            chosen = envelope.webhook_events_filter
            events = WEBHOOK_EVENTS if isinstance(chosen, msgspec.UnsetType) else chosen
            webhook = Webhook(envelope.webhook, frozenset(events), trace)
        return PredictionRequest(prediction_id, bytes(envelope.input), envelope.context, webhook)

    async def _wait(self, scope: Scope, prediction: Prediction) -> Answer:
        """Wait for the end. A client that goes away before cancels its prediction."""
        if not prediction.status.terminal:
            ended = end_of(prediction)
            connection = connection_of(scope)
            # What has ended is not canceled: another prediction may have its id by now.
            connection.when_lost(lambda: prediction.status.terminal or self._service.cancel(prediction.id))
            try:
                await ended
            finally:
                connection.when_lost(None)
        return Answer(200, prediction.render())


def _agreed_id(envelope: Envelope, wanted: str | None, task: Task) -> str | None:
    if wanted is None:
        return envelope.id
    if not valid_id(wanted):
        raise InvalidRequest([Problem(("path", task.id_name), f"an id is {ID_RULE}")])
    if envelope.id is not None and envelope.id != wanted:
        raise InvalidRequest(
            [Problem(("body", "id"), f"{task.noun} ID must match the ID supplied in the URL")]
        )
    return wanted


def end_of(prediction: Prediction) -> asyncio.Future[None]:
    """Something to wait for: it is done at the end of `prediction`, which must not have ended yet."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    prediction.listeners.append(Waiter(ended))
    return ended


async def _respond_async(prediction: Prediction, preference: Preference) -> Answer:
    """202 with the prediction as it stands, or, within `wait` seconds, 200 with the ended one."""
    applied = b"respond-async"
    if preference.wait is not None:
        applied += b", wait=%d" % preference.wait
        if not prediction.status.terminal:
            await asyncio.wait([end_of(prediction)], timeout=preference.wait)
    ended = preference.wait is not None and prediction.status.terminal
    return Answer(200 if ended else 202, prediction.render(), ((b"preference-applied", applied),))
