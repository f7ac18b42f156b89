"""What is still to be told of one prediction."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cog.notify.post import Message, Post, shown
from cog.notify.receivers import Receivers
from cog.notify.stock import Address
from cog.prediction.events import Done, Event, Log, Metric, Output, Started, Status
from cog.prediction.record import Prediction
from cog.prediction.request import Webhook

# From the contract: a try takes 30 s at most, and the last news are tried 13 times; the wait before try n +
# 1 is drawn from 0 to 100 ms * 2^min(n, 10), so that receivers that come back are not met by everybody at
# once.
TRY_TIMEOUT: Final = 30.0
TRIES: Final = 13
FIRST_WAIT: Final = 0.1
# A receiver may ask for a longer wait (Retry-After), up to this many seconds.
LONGEST_ASKED: Final = 120
# After news that took long to write the next ones wait so many times as long: each has all the output so far, and at the
# same pace those of a long one would in the end take all the time of the server.
_REST: Final = 20

_log: Final = logging.getLogger("cog.notify")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: the least time between two `output` or `logs` news of one prediction, and what the waits between the
    tries of an end are multiples of."""

    interval: float
    first_wait: float


class Deliveries:
    """Notes what happens to a prediction, and tells it message by message when `Receivers` says that it may.

    While it runs only facts are noted, and rendered when they are sent: a receiver that is slower than the model gets
    fewer and newer states, and nothing piles up. Once it has ended only texts are held.
    """

    __slots__ = (
        "_due", "_end", "_news", "_not_before", "_pace", "_post", "_prediction", "_receivers", "_start", "_telling",
        "_tries", "_unfinished", "_until", "_webhook", "address", "prediction_id",
    )  # fmt: skip

    def __init__(self, receivers: Receivers, post: Post, pace: Pace, webhook: Webhook) -> None:
        """A listener for one prediction."""
        self._receivers = receivers
        self._post = post
        self._pace = pace
        self._webhook = webhook
        self.address: Address = _address(webhook.url)
        self.prediction_id = ""
        self._prediction: Prediction | None = None  # until it has ended
        self._start = self._news = False  # what is pending
        self._unfinished: bytes | None = None  # what pending news say, once it has ended
        self._end: Message | None = None  # pending
        self._due = 0.0  # the loop's time from which news may be sent
        self._until: float | None = None  # the loop's time until which the end waits for earlier news
        self._not_before = 0.0  # the loop's time of the next try of the end
        self._tries = 0
        self._telling = False

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Note what is to be told of `event`, and see to it that it is told."""
        wanted = self._webhook.events
        match event:
            case Output():
                self._note_news(prediction, "output" in wanted)
            case Log():
                self._note_news(prediction, "logs" in wanted)
            case Started():
                if "start" in wanted:
                    self._start = True
                    self._look(prediction)
            case Done():
                self._note_end(prediction, event)
            case Metric():
                return  # told along with the others

    def _note_news(self, prediction: Prediction, wanted: bool) -> None:
        if wanted and not self._news:
            self._news = True
            self._look(prediction)

    def _note_end(self, prediction: Prediction, event: Done) -> None:
        wanted = self._webhook.events
        self._news |= event.payload is not None and "output" in wanted
        if self._receivers.closed:
            if "completed" in wanted:
                _log.error(
                    "The webhook of a prediction that ended too late was not sent: the server ends.",
                    extra={"fields": {"prediction_id": prediction.id}},
                )
            return
        if self._start or self._news:
            # Of its end only the last message tells.
            self._unfinished = prediction.render(Status.PROCESSING)
        if "completed" in wanted:
            self._end = Message(self._webhook, prediction.render())
        self._until = asyncio.get_running_loop().time() + TRY_TIMEOUT
        self._look(prediction)
        self._prediction = None

    def _look(self, prediction: Prediction) -> None:
        self.prediction_id = prediction.id
        self._prediction = prediction
        if not self._receivers.closed:
            self._receivers.look(self)

    # What `Receivers` asks

    @property
    def end_waits(self) -> bool:
        """True when the end waits behind a try of unfinished news that is under way."""
        return self._telling and self._end is not None

    def delay(self) -> float | None:
        """Seconds until the next try is due; None when there is nothing to tell."""
        if self._start or (self._news and self._until is not None):
            return 0.0
        if self._news:
            return max(0.0, self._due - asyncio.get_running_loop().time())
        if self._end is not None:
            return max(0.0, self._not_before - asyncio.get_running_loop().time())
        return None

    def weight(self) -> tuple[int, int]:
        """Bytes held for unfinished news and for the end."""
        news = 0 if self._unfinished is None else len(self._unfinished)
        return news, 0 if self._end is None else len(self._end.body)

    def drop_news(self) -> None:
        """Forget unfinished news."""
        self._start = self._news = False
        self._unfinished = None

    def drop(self) -> None:
        """Forget everything."""
        self.drop_news()
        self._end = None

    async def attempt(self) -> None:
        """Make the next try."""
        if self._start or self._news:
            self._telling = True
            try:
                await self._tell()
            finally:
                self._telling = False
        elif self._end is not None:
            await self._insist(self._end)

    async def _tell(self) -> None:
        """Try once to send the prediction as it stands, unfinished."""
        now = asyncio.get_running_loop().time()
        if self._start:
            self._start = False
        else:
            self._news = False
            self._due = now + self._pace.interval
        begun = time.perf_counter()
        body = self._body()
        self._due = max(self._due, now + _REST * (time.perf_counter() - begun))
        timeout = TRY_TIMEOUT if self._until is None else min(TRY_TIMEOUT, self._until - now)
        if timeout <= 0:
            self._report(logging.WARNING, "the receiver was too slow", tries=0)
            return
        outcome = await self._post.deliver(Message(self._webhook, body), timeout)
        if not outcome.delivered:
            self._report(logging.WARNING, outcome.reason, tries=1)

    def _body(self) -> bytes:
        if self._prediction is not None:
            return self._prediction.render(Status.PROCESSING)
        body = self._unfinished
        assert body is not None, "what is pending at the end was rendered"
        if not self._start and not self._news:
            self._unfinished = None
        return body

    async def _insist(self, end: Message) -> None:
        """Try to send the ended prediction; say when the next try is, for as long as there is hope."""
        outcome = await self._post.deliver(end, TRY_TIMEOUT)
        self._tries += 1
        if outcome.delivered:
            self._end = None
        elif not outcome.hopeful or self._tries == TRIES:
            self._end = None
            self._report(logging.ERROR, outcome.reason, tries=self._tries)
        else:
            wait = random.uniform(0, self._pace.first_wait * 2 ** min(self._tries, 10))
            wait = max(wait, min(outcome.retry_after or 0, LONGEST_ASKED))
            self._not_before = asyncio.get_running_loop().time() + wait

    def _report(self, level: int, reason: str, *, tries: int) -> None:
        fields = {"prediction_id": self.prediction_id, "url": shown(self._webhook.url), "tries": tries}
        _log.log(level, "A webhook was not delivered: %s", reason, extra={"fields": fields})


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
