"""News of a prediction, sent to the URL that its client named.

`start` and `completed` go out at once; `output` and `logs` together at most once per interval, with the
newest state, the last one included. The news of one prediction stay in order. A delivery never changes a
prediction and never makes it wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from cog.net.client import Client
from cog.notify.deliveries import FIRST_WAIT, Deliveries, Pace
from cog.notify.post import Post
from cog.notify.receivers import Receivers
from cog.prediction.record import Listener
from cog.prediction.request import Webhook


class Webhooks:
    """All deliveries: those that wait and those that are under way."""

    def __init__(
        self,
        client: Client,
        *,
        interval: float,
        token: str | None,
        keys: Sequence[bytes] = (),
        first_wait: float = FIRST_WAIT,
    ) -> None:
        """`interval` is the least time in seconds between two `output` or `logs` news of one prediction;
        `token`, when there is one, goes along as `Authorization: Bearer`; `keys` sign each message. `first_wait`,
        in seconds, is what the waits between tries are multiples of.
        """
        self._post = Post(client, token=token, keys=keys)
        self._pace = Pace(interval, first_wait)
        self._receivers = Receivers()

    @property
    def idle(self) -> bool:
        """True when nothing is under way and nothing waits."""
        return self._receivers.idle

    def listener(self, webhook: Webhook) -> Listener:
        """A listener for one prediction, which sends what `webhook` asks for."""
        return Deliveries(self._receivers, self._post, self._pace, webhook)

    async def close(self, timeout: float) -> None:
        """Try everything that waits, for up to `timeout` seconds; give up the rest, send nothing from then on."""
        await self._receivers.close(timeout)
