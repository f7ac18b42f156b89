"""One try to deliver one message."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cog.net.client import Client, NetError
from cog.notify.signature import sign
from cog.prediction.request import Webhook, new_id

# HMAC-SHA256 takes 1 to 3 ms for this many bytes; more is computed in a thread, beside the event loop.
_SIGNED_AT_ONCE: Final = 1024 * 1024

_log: Final = logging.getLogger("cog.notify")


class Outcome(NamedTuple):
    """What became of a try; `hopeful` says that the same request may succeed later, `retry_after` is the wait in
    seconds that the receiver asked for."""

    delivered: bool
    hopeful: bool
    reason: str
    retry_after: int | None = None


class Message:
    """One thing to tell, the same at each try: receivers know by its id that they have had it already."""

    __slots__ = ("body", "headers", "id", "url")

    def __init__(self, webhook: Webhook, body: bytes) -> None:
        """A message with a new id; `body` is the prediction as clients see it."""
        self.url = webhook.url
        self.body = webhook.body(body)
        self.id = f"msg_{new_id()}"
        self.headers = {name.lower(): value for name, value in webhook.headers.items()}
        self.headers["webhook-id"] = self.id


class Post:
    """Hands messages to the HTTP client, with what every one of them carries."""

    def __init__(self, client: Client, *, token: str | None, keys: Sequence[bytes]) -> None:
        """`token`, when there is one, goes along as `Authorization: Bearer`; each of `keys` signs."""
        self._client = client
        self._keys = tuple(keys)
        self._own_headers = {"content-type": "application/json"}
        if token is not None:
            self._own_headers["authorization"] = f"Bearer {token}"

    async def deliver(self, message: Message, timeout: float) -> Outcome:
        """Try once to send `message`, within `timeout` seconds."""
        try:
            answer = await self._client.post(message.url, message.body, await self._headers(message), timeout)
        except NetError as error:
            return Outcome(False, error.retryable, str(error), error.retry_after)
        except Exception as error:  # noqa: BLE001
            # A fault of ours at one try must not cost the ones that follow; it is shown whole.
            _log.exception("A webhook could not be sent", extra={"fields": {"url": shown(message.url)}})
            return Outcome(False, True, repr(error))
        status = answer.status
        reason = f"the receiver answered {status}"
        if 300 <= status < 400:
            reason += ", and redirects are not followed: use the URL that it leads to"
        return Outcome(200 <= status < 300, status == 429 or status >= 500, reason, answer.retry_after)

    async def _headers(self, message: Message) -> dict[str, str]:
        now = int(time.time())  # of this try: receivers refuse old ones, so that nobody can play them back
        headers = {**message.headers, **self._own_headers, "webhook-timestamp": str(now)}
        if self._keys:
            what = (self._keys, message.id, now, message.body)
            large = len(message.body) > _SIGNED_AT_ONCE
            headers["webhook-signature"] = await asyncio.to_thread(sign, *what) if large else sign(*what)
        return headers


def shown(url: str) -> str:
    """`url` as it may be logged: without its query and without credentials, which are often secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
