"""Webhooks, against real receivers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cog.net.client import Client
from cog.notify import deliveries
from cog.notify.webhooks import Webhooks
from cog.prediction.events import Done, Event, Log, Metric, Output, Started, Status
from cog.prediction.record import Prediction
from cog.prediction.request import WEBHOOK_EVENTS, Webhook

DEADLINE = 10.0


@dataclass
class Delivery:
    """One request that came in."""

    at: float
    line: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def brief(self) -> tuple[str, object, str]:
        """What the tests mostly ask for."""
        return self.body["status"], self.body["output"], self.body["logs"]


@dataclass
class Receiver:
    """An HTTP server that notes what it gets and answers what it was told to; an Event is awaited first.

    What has the status `deaf_to` is never answered.
    """

    url: str = ""
    answers: list[int | asyncio.Event] = field(default_factory=list)
    got: list[Delivery] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    serving: set[asyncio.Task[None]] = field(default_factory=set)
    deaf_to: str = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.ensure_future(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                line, *rest = request.decode().strip().split("\r\n")
                headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                self.got.append(Delivery(time.monotonic(), line, headers, body))
                self.changed.set()
                answer = self.answers.pop(0) if self.answers else 200
                if body["status"] == self.deaf_to:
                    answer = asyncio.Event()
                if isinstance(answer, asyncio.Event):
                    await answer.wait()
                    answer = 200
                if answer == 0:
                    break  # hangs up without an answer
                writer.write(
                    f"HTTP/1.1 {answer} X\r\nlocation: {self.url}/x\r\ncontent-length: 2\r\n\r\nok".encode()
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def wait_for(self, count: int) -> None:
        while len(self.got) < count:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), DEADLINE)


@asynccontextmanager
async def receiver(*answers: int | asyncio.Event) -> AsyncIterator[Receiver]:
    made = Receiver(answers=list(answers))
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in made.serving:
            task.cancel()
        await asyncio.gather(*made.serving, return_exceptions=True)


@dataclass
class Scene:
    """A prediction whose news go to a receiver."""

    receiver: Receiver
    webhooks: Webhooks
    prediction: Prediction

    def happens(self, *events: Event) -> None:
        for event in events:
            self.prediction.publish(event)

    async def settle(self) -> list[Delivery]:
        """All news, once nothing is pending any more."""
        await self.webhooks.close(DEADLINE)
        return self.receiver.got


def play(
    scenario: Callable[[Scene], Awaitable[None]],
    *answers: int | Callable[[], asyncio.Event],
    events: tuple[str, ...] = WEBHOOK_EVENTS,
    interval: float = 0.05,
    token: str | None = None,
    streams: bool = True,
) -> None:
    async def run() -> None:
        ready = [answer if isinstance(answer, int) else answer() for answer in answers]
        async with receiver(*ready) as target, Client() as client:
            webhooks = Webhooks(client, interval=interval, token=token, first_wait=0.0002)
            prediction = Prediction("p1", b'{"s":"x"}', created_at=time.time(), streams=streams)
            webhook = Webhook(
                f"{target.url}/hook?key=s3cret", frozenset(events), {"traceparent": "00-ab-cd-01"}
            )
            prediction.listeners.append(webhooks.listener(webhook))
            await scenario(Scene(target, webhooks, prediction))
            await webhooks.close(DEADLINE)
            assert webhooks.idle

    asyncio.run(asyncio.wait_for(run(), 3 * DEADLINE))


def ended(payload: bytes | None = None, status: Any = Status.SUCCEEDED, error: str | None = None) -> Done:
    return Done(status, time.time(), payload, error, 0.5)


def started() -> Started:
    return Started(time.time())


def told(got: list[Delivery]) -> list[tuple[str, object, str]]:
    return [delivery.brief for delivery in got]


def test_a_plain_prediction_is_start_output_completed() -> None:
    async def scenario(scene: Scene) -> None:
        scene.happens(started())
        await scene.receiver.wait_for(1)
        scene.happens(ended(b'"out"'))
        got = await scene.settle()
        assert told(got) == [("processing", None, ""), ("processing", "out", ""), ("succeeded", "out", "")]
        assert [one.body["completed_at"] is None for one in got] == [True, True, False]
        assert json.loads(scene.prediction.render()) == got[-1].body

    play(scenario)


def test_the_request() -> None:
    async def scenario(scene: Scene) -> None:
        before = int(time.time())
        scene.happens(started(), ended(b"1"))
        got = await scene.settle()
        for one in got:
            assert one.line == "POST /hook?key=s3cret HTTP/1.1"
            assert one.headers["content-type"] == "application/json"
            assert one.headers["authorization"] == "Bearer t0ken"
            assert one.headers["traceparent"] == "00-ab-cd-01"
            assert one.headers["user-agent"].startswith("cog/")
            assert before <= int(one.headers["webhook-timestamp"]) <= time.time()
        assert len({one.headers["webhook-id"] for one in got}) == 3

    play(scenario, token="t0ken")


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ((), 0),
        (("start",), 1),
        (("output",), 1),
        (("logs",), 1),
        (("completed",), 1),
        (("start", "completed"), 2),
    ],
)
def test_the_filter_decides(events: tuple[str, ...], count: int) -> None:
    async def scenario(scene: Scene) -> None:
        scene.happens(started(), Log("hi\n", "stdout"), Metric("m", 1), Output(b"1"), ended())
        assert bool(events) is not scene.webhooks.idle  # nothing runs for what nobody asked for
        assert len(await scene.settle()) == count

    play(scenario, events=events)


def test_no_token_no_authorization_and_cancellation_before_the_start() -> None:
    async def scenario(scene: Scene) -> None:
        scene.happens(ended(None, Status.CANCELED))
        (one,) = await scene.settle()
        assert one.body["status"] == "canceled"
        assert one.body["started_at"] is None
        assert "authorization" not in one.headers

    play(scenario)


def test_output_and_logs_share_one_throttle_and_the_last_state_is_sent() -> None:
    async def scenario(scene: Scene) -> None:
        scene.happens(started())
        await scene.receiver.wait_for(1)
        scene.happens(Output(b"1"))
        await scene.receiver.wait_for(2)
        scene.happens(Output(b"2"), Log("a", "stdout"), Output(b"3"), Log("b", "stderr"))
        await scene.receiver.wait_for(3)
        got = scene.receiver.got
        assert told(got[1:]) == [("processing", [1], ""), ("processing", [1, 2, 3], "ab")]
        assert got[2].at - got[1].at >= 0.95
        scene.happens(Output(b"4"), ended())
        await scene.receiver.wait_for(5)
        assert told(got[3:]) == [("processing", [1, 2, 3, 4], "ab"), ("succeeded", [1, 2, 3, 4], "ab")]
        assert got[4].at - got[2].at < 0.9  # the end waits for no throttle

    play(scenario, interval=1.0)


@pytest.mark.slow
def test_news_that_take_long_to_write_come_less_often() -> None:
    """Each has everything so far, so at the same pace those of a long output would take all the time there is."""

    async def scenario(scene: Scene) -> None:
        scene.happens(started(), Log("x" * 8_000_000, "stdout"))
        begun = time.perf_counter()
        scene.prediction.render(Status.PROCESSING)
        took = time.perf_counter() - begun
        for count in (2, 3, 4):
            await scene.receiver.wait_for(count)
            scene.happens(Log("y", "stdout"))
        got = scene.receiver.got
        assert got[2].at - got[1].at > 5 * took
        assert got[3].at - got[2].at > 5 * took
        scene.happens(ended())
        assert (await scene.settle())[-1].brief[2].endswith("xyyy")

    play(scenario, interval=0.0)


def test_a_slow_receiver_gets_fewer_and_newer_states_in_order() -> None:
    gate: list[asyncio.Event] = []

    def make_gate() -> asyncio.Event:
        gate.append(asyncio.Event())
        return gate[0]

    async def scenario(scene: Scene) -> None:
        scene.happens(started())
        await scene.receiver.wait_for(1)
        for number in range(100):
            scene.happens(Output(str(number).encode()))
            await asyncio.sleep(0)
        assert len(scene.receiver.got) == 1
        scene.happens(ended())
        gate[0].set()
        got = await scene.settle()
        assert [one.body["status"] for one in got] == ["processing", "processing", "succeeded"]
        assert got[1].body["output"] == got[2].body["output"] == list(range(100))

    play(scenario, make_gate)


def test_the_end_waits_for_one_stuck_try_at_most(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deliveries, "TRY_TIMEOUT", 1.0)

    async def scenario(scene: Scene) -> None:
        scene.receiver.deaf_to = "processing"
        scene.happens(started())
        await scene.receiver.wait_for(1)
        begin = time.monotonic()
        scene.happens(Output(b"1"), ended())
        while scene.receiver.got[-1].body["status"] != "succeeded":
            await scene.receiver.wait_for(len(scene.receiver.got) + 1)
        assert time.monotonic() - begin < 1.8  # not twice as long

    play(scenario)
    assert "A webhook was not delivered" in caplog.text


def test_news_are_tried_once_and_the_end_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(scene: Scene) -> None:
        scene.happens(started())
        await scene.receiver.wait_for(1)
        scene.happens(ended(None, Status.FAILED, "ValueError: bad"))
        got = await scene.settle()
        assert [one.body["status"] for one in got] == ["processing", *["failed"] * 6]
        assert len({one.headers["webhook-id"] for one in got[1:]}) == 1
        assert got[0].headers["webhook-id"] != got[1].headers["webhook-id"]

    play(scenario, 500, 500, 0, 429, 503, 599, 202)
    (record,) = [record for record in caplog.records if record.name == "cog.notify"]
    assert record.levelno == logging.WARNING
    assert record.__dict__["fields"]["prediction_id"] == "p1"
    assert record.__dict__["fields"]["url"].endswith("/hook")
    assert "s3cret" not in caplog.text


def test_the_end_is_given_up_after_13_tries(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(scene: Scene) -> None:
        scene.happens(started(), ended())
        assert len(await scene.settle()) == 13

    play(scenario, *[503] * 20, events=("completed",))
    (record,) = [record for record in caplog.records if record.name == "cog.notify"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "A webhook was not delivered: the receiver answered 503"
    assert record.__dict__["fields"]["tries"] == 13


@pytest.mark.parametrize("status", [302, 307, 308, 400, 404, 410])
def test_other_answers_are_final_and_redirects_are_not_followed(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """J30."""

    async def scenario(scene: Scene) -> None:
        scene.happens(started(), ended())
        (one,) = await scene.settle()
        assert one.line.startswith("POST /hook")

    play(scenario, status, events=("completed",))
    assert f"the receiver answered {status}" in caplog.text


def test_an_address_that_is_never_allowed_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with Client() as client:
            webhooks = Webhooks(client, interval=0.5, token=None)
            prediction = Prediction("p1", b"{}", created_at=0.0, streams=False)
            prediction.listeners.append(
                webhooks.listener(Webhook("http://169.254.169.254/latest", frozenset({"completed"})))
            )
            prediction.publish(ended(None, Status.CANCELED))
            await webhooks.close(DEADLINE)

    asyncio.run(run())
    (record,) = [record for record in caplog.records if record.name == "cog.notify"]
    assert record.__dict__["fields"]["tries"] == 1


def test_close_waits_then_gives_up_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    """J9: what can still be delivered is; the rest is told."""

    async def scenario(scene: Scene) -> None:
        scene.happens(started(), ended())
        await scene.receiver.wait_for(1)
        begin = time.monotonic()
        await scene.webhooks.close(0.2)
        assert 0.15 < time.monotonic() - begin < 1.0
        assert scene.webhooks.idle
        other = Prediction("p2", b"{}", created_at=0.0, streams=False)
        other.listeners.append(scene.webhooks.listener(Webhook(scene.receiver.url)))
        other.publish(ended(None, Status.CANCELED))
        assert scene.webhooks.idle

    play(scenario, asyncio.Event, events=("completed",))
    messages = [record.getMessage() for record in caplog.records if record.name == "cog.notify"]
    assert messages[0].startswith("The webhooks of 1 predictions were given up because the server ends")
    assert messages[1].startswith("The webhook of a prediction that ended too late was not sent")


def test_a_dead_receiver_blocks_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with (
            receiver() as target,
            receiver(*[asyncio.Event() for _ in range(50)]) as dead,
            Client() as client,
        ):
            webhooks = Webhooks(client, interval=0.05, token=None)
            for number in range(50):
                for url in (dead.url, target.url):
                    prediction = Prediction(f"p{number}", b"{}", created_at=0.0, streams=False)
                    prediction.listeners.append(webhooks.listener(Webhook(url, frozenset({"completed"}))))
                    prediction.publish(ended(None, Status.CANCELED))
            await target.wait_for(50)
            await webhooks.close(0.5)

    asyncio.run(asyncio.wait_for(run(), 3 * DEADLINE))
    assert "The webhooks of 50 predictions were given up" in caplog.text


def test_nothing_is_rendered_before_the_end_when_something_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(scene: Scene) -> None:
        rendered: list[Status | None] = []
        render = Prediction.render

        def counting(self: Prediction, status: Status | None = None) -> bytes:
            rendered.append(status)
            return render(self, status)

        monkeypatch.setattr(Prediction, "render", counting)
        scene.happens(started(), *[Output(b"1")] * 1000)
        assert rendered == []
        scene.happens(ended())
        assert rendered == [Status.PROCESSING, None]  # from here on only texts are held
        assert len(await scene.settle()) == 3
        assert rendered == [Status.PROCESSING, None]

    play(scenario)
