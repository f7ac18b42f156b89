"""Many webhooks and receivers that take none: what waits is bounded and harms nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cog.net.client import Client
from cog.notify import receivers, stock
from cog.notify.webhooks import Webhooks
from cog.prediction.events import Done, Output, Started, Status
from cog.prediction.record import Prediction
from cog.prediction.request import WEBHOOK_EVENTS, Webhook
from support.liars import hangs, lying, says, take

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"


class Scene:
    """Predictions that end, and whom they tell of it."""

    def __init__(self, client: Client, first_wait: float) -> None:
        self.webhooks = Webhooks(client, interval=0.05, token=None, first_wait=first_wait)
        self.number = 0

    def begin(self, url: str, *events: str, streams: bool = False) -> Prediction:
        self.number += 1
        prediction = Prediction(f"p{self.number}", b"{}", created_at=0.0, streams=streams)
        webhook = Webhook(url, frozenset(events or WEBHOOK_EVENTS))
        prediction.listeners.append(self.webhooks.listener(webhook))
        prediction.publish(Started(time.time()))
        return prediction

    def end(self, prediction: Prediction, payload: bytes | None = b'"out"') -> None:
        prediction.publish(Done(Status.SUCCEEDED, time.time(), payload, None, 0.1))
        prediction.listeners.clear()

    def many(self, count: int, url: str, *events: str, payload: bytes = b'"out"') -> None:
        for _ in range(count):
            self.end(self.begin(url, *events), payload)


def play(scenario: Callable[[Scene], Awaitable[None]], *, first_wait: float = 0.001) -> None:
    async def run() -> None:
        async with Client() as client:
            scene = Scene(client, first_wait)
            try:
                await scenario(scene)
            finally:
                await scene.webhooks.close(0)
            assert scene.webhooks.idle

    asyncio.run(asyncio.wait_for(run(), 30))


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (record.levelname, record.getMessage(), record.__dict__["fields"])
        for record in caplog.records
        if record.name == "cog.notify"
    ]


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await take(reader)
        writer.write(OK)


def test_a_receiver_that_hangs_gets_16_connections_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(scene: Scene) -> None:
        async with lying(hangs) as hung, lying(good) as fine:
            before = len(asyncio.all_tasks())
            scene.many(1000, hung.url)
            await hung.wait_for(receivers.PLACES)
            # The receiver's own tasks are here too: two for each connection.
            assert len(asyncio.all_tasks()) - before <= 4 * receivers.PLACES
            took = []
            for _ in range(50):
                begin = time.monotonic()
                scene.many(1, fine.url, "completed")
                while len(scene.webhooks._receivers._receivers) > 1:
                    await asyncio.sleep(0)  # until it is delivered
                took.append(time.monotonic() - begin)
            assert sorted(took)[25] < 0.1
            assert hung.count == hung.most == receivers.PLACES
            await scene.webhooks.close(0.1)

    play(scenario)
    lost = [each for level, message, each in records(caplog) if "given up because the server ends" in message]
    assert {id for each in lost for id in each["prediction_ids"]} == {f"p{n}" for n in range(1, 1001)}
    assert all(each["count"] == 1000 and len(each["prediction_ids"]) == 100 for each in lost)


def test_everything_that_waited_goes_out_in_order_once_it_is_taken() -> None:
    got: list[str] = []
    gate = asyncio.Event()

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await take(reader)
            got.append(body.split(b'"id":"')[1].split(b'"')[0].decode())
            await gate.wait()
            writer.write(OK)

    async def scenario(scene: Scene) -> None:
        async with lying(conduct) as slow:
            scene.many(300, slow.url, "completed")
            await slow.wait_for(receivers.PLACES)
            gate.set()
            await scene.webhooks.close(20)
            assert slow.most <= receivers.PLACES

    play(scenario)
    assert len(got) == len(set(got)) == 300
    places = {id: place for place, id in enumerate(got)}
    for number in range(1, 301):  # as they ended; connections of the same moment may overtake one another
        assert abs(places[f"p{number}"] - number) <= receivers.PLACES


def test_waiting_for_the_next_try_holds_no_place() -> None:
    async def scenario(scene: Scene) -> None:
        async with lying(says(BUSY)) as busy:
            scene.many(100, busy.url, "completed")
            await busy.wait_for(100)  # although each of the first 16 waits for its second try

    play(scenario, first_wait=1000.0)


@pytest.mark.slow
def test_many_receivers_that_hang_leave_places_for_others() -> None:
    async def scenario(scene: Scene) -> None:
        async with AsyncExitStack() as stack, lying(good) as fine:
            hung = [await stack.enter_async_context(lying(hangs)) for _ in range(40)]
            for each in hung:
                scene.many(20, each.url, "completed")
            await asyncio.gather(*(each.wait_for(1) for each in hung))
            assert sum(each.count for each in hung) < receivers.ALL_PLACES
            begin = time.monotonic()
            scene.many(1, fine.url, "completed")
            await fine.wait_for(1)
            assert time.monotonic() - begin < 2

    play(scenario)


def test_what_waits_is_bounded_and_the_oldest_goes_first(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stock, "MOST_BYTES", 1_000_000)

    async def scenario(scene: Scene) -> None:
        async with lying(hangs) as hung:
            scene.many(receivers.PLACES, hung.url, "completed")
            await hung.wait_for(receivers.PLACES)
            scene.many(100, hung.url, "completed", payload=b'"' + b"x" * 50_000 + b'"')
            shelf = next(iter(scene.webhooks._receivers._stock._shelves.values()))
            assert 900_000 < shelf.bytes <= 1_000_000
            assert len(shelf.sizes) == 19
            scene.many(
                1, hung.url, "completed", payload=b'"' + b"x" * 5_000_000 + b'"'
            )  # alone it may be larger
            assert len(shelf.sizes) == 1
            await scene.webhooks.close(0.05)

    play(scenario)
    (dropped,) = [each for _, message, each in records(caplog) if "MiB wait for a receiver" in message]
    assert dropped["count"] == 100
    assert dropped["prediction_ids"] == [f"p{n}" for n in range(17, 117)]
    (lost,) = [each for _, message, each in records(caplog) if "because the server ends" in message]
    assert set(lost["prediction_ids"]) == {*(f"p{n}" for n in range(1, 17)), "p117"}


def test_unfinished_news_are_given_up_before_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stock, "MOST_BYTES", 1_000_000)
    ends: set[bytes] = set()
    news = 0
    gate = asyncio.Event()

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal news
        while True:
            body = await take(reader)
            if b'"completed_at":null' in body:
                news += 1
            else:
                ends.add(body.split(b'"id":"')[1].split(b'"')[0])
            await gate.wait()
            writer.write(OK)

    async def scenario(scene: Scene) -> None:
        async with lying(conduct) as slow:
            scene.many(receivers.PLACES, slow.url, "completed")
            await slow.wait_for(receivers.PLACES)
            scene.many(15, slow.url, payload=b'"' + b"x" * 50_000 + b'"')
            gate.set()
            await scene.webhooks.close(20)

    play(scenario)
    assert len(ends) == receivers.PLACES + 15  # no end was lost
    assert 0 < news < 2 * 15
    ((level, message, fields),) = records(caplog)
    assert level == "WARNING"
    assert "unfinished webhooks were given up" in message
    assert fields["count"] > 0


def test_all_receivers_together_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stock, "ALL_BYTES", 1_000_000)
    monkeypatch.setattr(receivers, "PLACES", 1)

    async def scenario(scene: Scene) -> None:
        async with AsyncExitStack() as stack:
            hung = [await stack.enter_async_context(lying(hangs)) for _ in range(10)]
            small = hung.pop()
            scene.many(2, small.url, "completed")
            for each in hung:
                scene.many(20, each.url, "completed", payload=b'"' + b"x" * 20_000 + b'"')
            shelves = scene.webhooks._receivers._stock._shelves
            assert sum(shelf.bytes for shelf in shelves.values()) <= 1_000_000
            assert len(shelves) == 10  # what takes the most is given up, not the others'

    play(scenario)


def test_a_running_prediction_costs_nothing_of_that(caplog: pytest.LogCaptureFixture) -> None:
    """While it runs only facts are noted, however much it says."""

    async def scenario(scene: Scene) -> None:
        async with lying(hangs) as hung:
            prediction = scene.begin(hung.url, streams=True)
            for _ in range(1000):
                prediction.publish(Output(b"1"))
            await hung.wait_for(1)
            assert scene.webhooks._receivers._stock._bytes == 0
            assert len(scene.webhooks._receivers._receivers) == 1

    play(scenario)


def test_at_the_end_everything_is_tried_at_once() -> None:
    """J9: what waits for its next try, and what waits behind unfinished news that hang."""
    tries = 0

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        while True:
            body = await take(reader)
            if b'completed_at":null' in body:
                await asyncio.Event().wait()
            tries += 1
            writer.write(BUSY if tries <= 20 else OK)

    async def scenario(scene: Scene) -> None:
        async with lying(conduct) as slow:
            waiting = [scene.begin(slow.url, "start", "completed") for _ in range(5)]
            await slow.wait_for(5)
            for prediction in waiting:
                scene.end(prediction)
            scene.many(20, slow.url, "completed")
            while tries < 20:
                await asyncio.sleep(0.01)
            begin = time.monotonic()
            await scene.webhooks.close(5)
            assert time.monotonic() - begin < 4.5

    play(scenario, first_wait=1000.0)
    assert tries == 45


def test_at_the_end_those_that_hang_make_way_for_others() -> None:
    ends = 0

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ends
        while True:
            if b'"deaf"' in await take(reader):
                await asyncio.Event().wait()
            ends += 1
            writer.write(OK)

    async def scenario(scene: Scene) -> None:
        async with lying(conduct) as half:
            scene.many(receivers.PLACES, half.url, "completed", payload=b'"deaf"')
            await half.wait_for(receivers.PLACES)
            scene.many(30, half.url, "completed")
            await scene.webhooks.close(1.0)
            assert ends == 30

    play(scenario)


def test_a_fault_of_ours_is_told_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Prediction, status: Status | None = None) -> bytes:
        raise RuntimeError("broken")

    async def scenario(scene: Scene) -> None:
        async with lying(good) as fine:
            prediction = scene.begin(fine.url)
            with monkeypatch.context() as patch:
                patch.setattr(Prediction, "render", broken)
                while not scene.webhooks.idle:
                    await asyncio.sleep(0)
            scene.end(prediction)
            await fine.wait_for(1)
            await scene.webhooks.close(5)

    play(scenario)
    ((level, message, fields),) = records(caplog)
    assert (level, fields) == ("ERROR", {"prediction_id": "p1"})
    assert "broken" in message


def test_receivers_are_forgotten() -> None:
    async def scenario(scene: Scene) -> None:
        async with lying(good) as fine:
            for number in range(20):
                scene.many(1, f"{fine.url}/{number}")
            await fine.wait_for(1)
            while not scene.webhooks.idle:
                await asyncio.sleep(0.001)
            room = scene.webhooks._receivers
            assert not room._receivers
            assert not room._hungry
            assert not room._stock._shelves
            assert room._stock._bytes == room._running == 0

    play(scenario)
