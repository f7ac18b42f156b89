"""News of a prediction, sent to the URL that its client named.

`start` and `completed` go out at once; `output` and `logs` together at most once per interval, with the
newest state, the last one included. The news of one prediction stay in order: one task sends them one after
another, and lives only while there is something to send. A delivery never changes a prediction and never
makes it wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cog.net.client import Client, NetError
from cog.prediction.events import Done, Event, Log, Metric, Output, Started, Status
from cog.prediction.record import Listener, Prediction
from cog.prediction.request import Webhook, new_id

# From the contract: a try takes 30 s at most, and the last news are tried 13 times; the wait before try n +
# 1 is drawn from 0 to 100 ms * 2^min(n, 10), so that receivers that come back are not met by everybody at
# once.
TRY_TIMEOUT: Final = 30.0
TRIES: Final = 13
FIRST_WAIT: Final = 0.1

_log: Final = logging.getLogger("cog.notify")


class Webhooks:
    """All deliveries that are under way."""

    def __init__(
        self, client: Client, *, interval: float, token: str | None, first_wait: float = FIRST_WAIT
    ) -> None:
        """`interval` is the least time in seconds between two `output` or `logs` news of one prediction;
        `token`, when there is one, goes along as `Authorization: Bearer`. `first_wait`, in seconds, is what
        the waits between tries are multiples of.
        """
        self.interval = interval
        self.first_wait = first_wait
        self.closed = False
        self._client = client
        self._own_headers = {"content-type": "application/json"}
        if token is not None:
            self._own_headers["authorization"] = f"Bearer {token}"
        self._tasks: dict[asyncio.Task[None], str] = {}

    def listener(self, webhook: Webhook) -> Listener:
        """A listener for one prediction, which sends what `webhook` asks for."""
        return _Deliveries(self, webhook)

    async def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what is pending, give up the rest, send nothing from then on."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        self.closed = True
        if not self._tasks:
            return
        lost = dict(self._tasks)
        _log.warning(
            "The webhooks of %d predictions were given up because the server ends: "
            "their receivers did not accept them in time.",
            len(lost),
            extra={"fields": {"count": len(lost), "prediction_ids": sorted(lost.values())[:20]}},
        )
        for task in lost:
            task.cancel()
        await asyncio.wait(lost)

    def begin(self, deliveries: _Deliveries, prediction_id: str) -> None:
        """Start the task that sends what is pending in `deliveries`."""
        task = asyncio.get_running_loop().create_task(deliveries.run())
        self._tasks[task] = prediction_id
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        fields = {"prediction_id": self._tasks.pop(task)}
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("Webhooks could not be sent: %r", error, exc_info=error, extra={"fields": fields})

    async def post(self, message: _Message, timeout: float) -> _Outcome:
        """Try once to send `message`, within `timeout` seconds."""
        headers = {**message.headers, **self._own_headers, "webhook-timestamp": str(int(time.time()))}
        try:
            status = await self._client.post(message.url, message.body, headers, timeout)
        except NetError as error:
            return _Outcome(False, error.retryable, str(error))
        except Exception as error:  # noqa: BLE001
            # A fault of ours at one try must not cost the ones that follow; it is shown whole.
            _log.exception("A webhook could not be sent", extra={"fields": {"url": _shown(message.url)}})
            return _Outcome(False, True, repr(error))
        reason = f"the receiver answered {status}"
        if 300 <= status < 400:
            reason += ", and redirects are not followed: use the URL that it leads to"
        return _Outcome(200 <= status < 300, status == 429 or status >= 500, reason)


class _Outcome(NamedTuple):
    """What became of a try; `hopeful` says that the same request may succeed later."""

    delivered: bool
    hopeful: bool
    reason: str


class _Message:
    """One thing to tell, the same at each try: receivers know by its id that they have had it already."""

    __slots__ = ("body", "headers", "url")

    def __init__(self, webhook: Webhook, body: bytes) -> None:
        self.url = webhook.url
        self.body = body
        self.headers = {name.lower(): value for name, value in webhook.headers.items()}
        self.headers["webhook-id"] = f"msg_{new_id()}"


class _Deliveries:
    """What is still to be told of one prediction.

    Only facts are noted when something happens; they are rendered when they are sent. So a receiver that is
    slower than the model gets fewer and newer states, and nothing piles up.
    """

    __slots__ = (
        "_completed", "_due", "_end", "_ended", "_news", "_prediction", "_start", "_wake", "_webhook",
        "_webhooks",
    )  # fmt: skip

    def __init__(self, webhooks: Webhooks, webhook: Webhook) -> None:
        self._webhooks = webhooks
        self._webhook = webhook
        self._prediction: Prediction | None = None  # None while no task runs
        self._start = self._news = self._completed = False  # what is pending
        self._due = 0.0  # the loop's time from which news may be sent
        self._ended = False
        self._wake: asyncio.Future[None] | None = None  # what a throttled task waits for
        self._end = 0.0  # the loop's time until which the last news wait for earlier ones

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Note what is to be told of `event`, and see to it that somebody tells it."""
        wanted = self._webhook.events
        match event:
            case Output():
                self._news |= "output" in wanted
            case Log():
                self._news |= "logs" in wanted
            case Started():
                self._start = "start" in wanted
            case Done(payload=payload):
                self._news |= payload is not None and "output" in wanted
                self._completed = "completed" in wanted
                self._end = asyncio.get_running_loop().time() + TRY_TIMEOUT
                self._ended = True
                if self._wake is not None and not self._wake.done():
                    self._wake.set_result(None)
            case Metric():
                return  # told along with the others
        if self._prediction is None and (self._start or self._news or self._completed):
            self._begin(prediction)

    def _begin(self, prediction: Prediction) -> None:
        if not self._webhooks.closed:
            self._prediction = prediction
            self._webhooks.begin(self, prediction.id)
        elif self._completed:
            _log.warning(
                "The webhook of a prediction that ended too late was not sent: the server ends.",
                extra={"fields": {"prediction_id": prediction.id}},
            )

    async def run(self) -> None:
        """Send what is pending until nothing is."""
        prediction = self._prediction
        try:
            while prediction is not None:
                if self._start:
                    self._start = False
                    await self._tell(prediction)
                elif self._news:
                    await self._throttle()
                    self._news = False
                    await self._tell(prediction)
                elif self._completed:
                    self._completed = False
                    await self._insist(prediction)
                else:
                    break
        finally:
            self._prediction = None

    async def _throttle(self) -> None:
        """Wait until news may be sent again, but no longer once the prediction has ended."""
        loop = asyncio.get_running_loop()
        if (wait := self._due - loop.time()) > 0 and not self._ended:
            self._wake = loop.create_future()
            await asyncio.wait([self._wake], timeout=wait)
        self._due = loop.time() + self._webhooks.interval

    async def _tell(self, prediction: Prediction) -> None:
        """Try once to send the prediction as it stands, unfinished."""
        timeout = TRY_TIMEOUT
        if self._ended:
            timeout = min(timeout, self._end - asyncio.get_running_loop().time())
        if timeout <= 0:
            self._report(logging.WARNING, prediction.id, "the receiver was too slow", tries=0)
            return
        # It may have ended meanwhile: of that only the last news tell.
        message = _Message(self._webhook, prediction.render(Status.PROCESSING))
        outcome = await self._webhooks.post(message, timeout)
        if not outcome.delivered:
            self._report(logging.WARNING, prediction.id, outcome.reason, tries=1)

    async def _insist(self, prediction: Prediction) -> None:
        """Send the ended prediction, and try again for as long as there is hope."""
        message = _Message(self._webhook, prediction.render())
        reason = ""
        for tried in range(TRIES):
            if tried > 0:
                await asyncio.sleep(random.uniform(0, self._webhooks.first_wait * 2 ** min(tried, 10)))
            delivered, hopeful, reason = await self._webhooks.post(message, TRY_TIMEOUT)
            if delivered:
                return
            if not hopeful:
                self._report(logging.ERROR, prediction.id, reason, tries=tried + 1)
                return
        self._report(logging.ERROR, prediction.id, reason, tries=TRIES)

    def _report(self, level: int, prediction_id: str, reason: str, *, tries: int) -> None:
        fields = {"prediction_id": prediction_id, "url": _shown(self._webhook.url), "tries": tries}
        _log.log(level, "A webhook was not delivered: %s", reason, extra={"fields": fields})


def _shown(url: str) -> str:
    """`url` as it may be logged: without its query and without credentials, which are often secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
