"""A seat for a worker: when that has ended, or is to be replaced, another one takes it."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from cog.backend.life import Life
from cog.backend.news import News
from cog.backend.owner import Fate

# From the contract, "The life of a worker".
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 4.0)  # seconds before the n-th respawn without a normal end in between
DEATHS: Final = 5  # after as many the backend is DEFUNCT
RETRY: Final = 60.0  # seconds between tries of a defunct one
TRIES: Final = 3  # for an additional worker whose setup fails


class Deaths:
    """How often workers have died since one of them ended a run normally."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def too_many(self) -> bool:
        """True when the model cannot be trusted to live."""
        return self.count >= DEATHS

    @property
    def pause(self) -> float:
        """Seconds to wait before the next worker is started."""
        return RETRY if self.too_many else PAUSES[max(0, self.count - 1)]


class Employer(Protocol):
    """Who has the seats."""

    @property
    def stopping(self) -> bool:
        """True when it ends, and no worker is wanted any more."""

    @property
    def once_ready(self) -> bool:
        """True when some worker was set up before."""

    def hire(self, index: int, *, aside: bool) -> Life:
        """Start a worker, for now aside from the one that serves."""

    def lost(self, fate: Fate) -> None:
        """A worker has ended, after which there may be none that can run the model."""


class Seat:
    """Keeps one worker, and one after the other."""

    def __init__(self, index: int, employer: Employer, news: News, deaths: Deaths) -> None:
        self.index = index
        self.given_up = False  # no other worker is to take it
        self.life: Life | None = None  # of the worker that sits there
        self.heir: Life | None = None  # of one that will, once it is set up or the other one has ended
        # Done when its first worker is set up, or failed to be.
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._employer = employer
        self._news = news
        self._deaths = deaths
        self._failures = 0
        self._once_ready = False

    def settle(self) -> None:
        """The setup of a worker is over."""
        if not self.settled.done():
            self.settled.set_result(None)

    async def keep(self) -> None:
        """Start a worker, and another one when that has ended, until there is to be none."""
        life: Life | None = self._employer.hire(self.index, aside=False)
        while life is not None:
            if self.life is not life:
                self._take(life)
            await asyncio.wait([life.over, life.left], return_when=asyncio.FIRST_COMPLETED)
            if self.life is not life:
                life = self.life  # it was replaced while it served
            elif await self._goes_on(life):
                life = self.heir or self._employer.hire(self.index, aside=False)
            else:
                life.left.set_result(None)
                return

    def _take(self, life: Life) -> None:
        before, self.life, self.heir = self.life, life, None
        life.aside = False
        if before is not None:
            before.left.set_result(None)

    def give_up(self) -> None:
        """No other worker is to take it, nor one that is on its way."""
        self.given_up = True
        if self.heir is not None:
            self.heir.worker.kill("its seat was given up")

    # While its worker serves

    def prepare(self) -> Life:
        """Start the one that is to take the place of the worker that serves."""
        self.heir = self._employer.hire(self.index, aside=True)
        return self.heir

    def inherit(self, life: Life) -> Life | None:
        """The heir is ready, and takes the seat; gives the life of the one that has to go."""
        before = self.life
        self._failures, self._once_ready = 0, True
        self._take(life)
        return before

    # When its worker has ended

    async def _goes_on(self, life: Life) -> bool:
        """Whether there is to be another worker after this one; waits for as long as that takes."""
        if not self._wanted:
            return False
        if not life.was_ready and not self._employer.once_ready:
            return False  # the first setup failed: the server stays for inspection
        fate = life.end.result()
        self._failures = 0 if life.was_ready else self._failures + 1
        self._once_ready = self._once_ready or life.was_ready
        hopeless = self.index > 0 and self._failures >= TRIES
        if hopeless and not self._once_ready:
            self._news.given_up(self.index, TRIES, fate.cause)
            return False
        if not (life.was_ready and fate.expected):
            self._deaths.count += 1
        self._employer.lost(fate)
        if self.heir is not None:
            return True  # it has begun already
        pause = RETRY if hopeless else self._deaths.pause
        self._news.replaced(self.index, fate, pause)
        await asyncio.sleep(pause)
        return self._wanted

    @property
    def _wanted(self) -> bool:
        return not (self._employer.stopping or self.given_up)
