"""What waits to be delivered takes memory, so there is an end to it."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

Address = tuple[str, str, int | None]

# Bytes that may wait for one receiver, and for all together: as much as the store keeps, which mostly has the
# same bytes. What is under way is not counted; there are few of those.
MOST_BYTES: Final = 128 * 1024 * 1024
ALL_BYTES: Final = 256 * 1024 * 1024
# What an ended prediction costs beside its text: its listener, headers, a queue place (measured: 2.3 KB).
OVERHEAD: Final = 2_300

_IDS_PER_LINE: Final = 100
_REPORT_EVERY: Final = 1.0  # seconds

_log: Final = logging.getLogger("cog.notify")


class Stocked(Protocol):
    """An ended prediction that somebody is to be told of."""

    @property
    def prediction_id(self) -> str:
        """Which one."""

    @property
    def address(self) -> Address:
        """Its receiver."""

    def weight(self) -> tuple[int, int]:
        """Bytes held for unfinished news and for the end."""

    def drop_news(self) -> None:
        """Forget unfinished news."""

    def drop(self) -> None:
        """Forget everything."""


class _Shelf:
    """What waits for one receiver, the oldest first."""

    __slots__ = ("bytes", "news", "sizes")

    def __init__(self) -> None:
        self.bytes = 0
        self.sizes: OrderedDict[Stocked, int] = OrderedDict()
        self.news: OrderedDict[Stocked, int] = (
            OrderedDict()
        )  # those that hold unfinished news, and how many bytes

    def oldest(self, of: OrderedDict[Stocked, int], spare: Stocked) -> Stocked | None:
        return next((each for each in of if each is not spare), None)


class Stock:
    """What waits for each receiver. Where it is too much the oldest is given up: unfinished news first, then ends."""

    def __init__(self) -> None:
        self._shelves: dict[Address, _Shelf] = {}
        self._bytes = 0
        self._lost_ends: list[str] = []
        self._lost_news = 0
        self._report: asyncio.TimerHandle | None = None

    def put(self, item: Stocked, *, first: bool) -> None:
        """Keep `item`, which is not the one that is given up for it. `first` says that it comes back from a try: it is
        older than all that wait, and pushes none of them out."""
        news, end = item.weight()
        if news + end == 0:
            return
        shelf = self._shelves.get(item.address)
        if shelf is None:
            shelf = self._shelves[item.address] = _Shelf()
        shelf.sizes[item] = size = news + end + OVERHEAD
        shelf.bytes += size
        self._bytes += size
        if news:
            shelf.news[item] = news
        if first:
            for row in (shelf.sizes, shelf.news):
                if item in row:
                    row.move_to_end(item, last=False)
        else:
            self._shrink(shelf, item)

    def take(self, item: Stocked) -> None:
        """`item` waits no longer."""
        shelf = self._shelves.get(item.address)
        if shelf is None or item not in shelf.sizes:
            return
        size = shelf.sizes.pop(item)
        shelf.news.pop(item, None)
        shelf.bytes -= size
        self._bytes -= size
        if not shelf.sizes:
            del self._shelves[item.address]

    def _shrink(self, shelf: _Shelf, spare: Stocked) -> None:
        while shelf.bytes > MOST_BYTES and self._give_up(shelf, spare):
            pass
        while self._bytes > ALL_BYTES:
            for each in sorted(self._shelves.values(), key=lambda each: -each.bytes):
                if self._give_up(each, spare):
                    break
            else:
                return

    def _give_up(self, shelf: _Shelf, spare: Stocked) -> bool:
        """Give up the oldest on this shelf. False when there is nothing but `spare`."""
        if (item := shelf.oldest(shelf.news, spare)) is not None:
            size = shelf.news.pop(item)
            item.drop_news()
            shelf.sizes[item] -= size
            shelf.bytes -= size
            self._bytes -= size
            self._lost_news += 1
        elif (item := shelf.oldest(shelf.sizes, spare)) is not None:
            self.take(item)
            item.drop()
            self._lost_ends.append(item.prediction_id)
        else:
            return False
        if self._report is None:
            self._report = asyncio.get_running_loop().call_later(_REPORT_EVERY, self.report)
        return True

    def report(self) -> None:
        """Log what was given up since the last time: once a second, however much it is."""
        if self._report is not None:
            self._report.cancel()
            self._report = None
        if self._lost_news:
            _log.warning(
                "%d unfinished webhooks were given up: too much waits for receivers that do not take it",
                self._lost_news,
                extra={"fields": {"count": self._lost_news}},
            )
        log_ids(
            "The completed webhooks of %d predictions were given up: more than %d MiB wait for a receiver that does "
            "not take them. GET /predictions/{id} still has the results for a while",
            self._lost_ends,
            MOST_BYTES >> 20,
        )
        self._lost_news, self._lost_ends = 0, []


def log_ids(text: str, ids: Sequence[str], *values: object) -> None:
    """Log an error about the predictions `ids`, all of them named, in lines of a readable length. `text` takes the
    number of them, then `values`."""
    for begin in range(0, len(ids), _IDS_PER_LINE):
        part = ids[begin : begin + _IDS_PER_LINE]
        fields = {"count": len(ids), "prediction_ids": list(part)}
        _log.error(text, len(ids), *values, extra={"fields": fields})
