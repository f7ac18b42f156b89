"""Clients that send everything a server meets, and check every answer against the token that they sent."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from soak.models import Order, order, reading
from soak.outside import Outside

TERMINAL: Final = ("succeeded", "failed", "canceled")
_TRACEBACK: Final = "Traceback (most recent call last):"
PATIENCE: Final = 60.0  # seconds; an answer that takes longer is a hang

_tokens = itertools.count(1)


@dataclass
class Tally:
    """What came of the requests to one server. `wrong` must stay empty."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    latencies: array[float] = field(default_factory=lambda: array("d"))
    recoveries: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    killed_at: float | None = None  # the last kill, while nothing that began after it has gone well

    def note(self, kind: str, outcome: str, begun: float) -> None:
        self.outcomes[kind, outcome] += 1
        if outcome == "right" and self.killed_at is not None and begun > self.killed_at:
            self.recoveries.append(time.monotonic() - self.killed_at)
            self.killed_at = None

    def complain(self, kind: str, what: object) -> None:
        self.outcomes[kind, "WRONG"] += 1
        self.wrong.append(f"{kind}: {what}"[:1500])


class Refused(Exception):
    """409 or 503: nothing was started."""


@dataclass
class Load:
    """The clients of one server."""

    url: str
    streams: bool
    outside: Outside
    session: aiohttp.ClientSession
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    open: asyncio.Event = field(default_factory=asyncio.Event)  # closed: nobody begins anything
    busy: int = 0

    def kinds(self) -> list[tuple[str, int, Callable[[], Awaitable[str]]]]:
        """Each kind of request with its share."""
        kinds: list[tuple[str, int, Callable[[], Awaitable[str]]]] = [
            ("plain", 40, lambda: self.plain("", 0)),
            ("prints", 6, lambda: self.plain("print", 20)),
            ("failure", 6, lambda: self.plain("fail", 0)),
            ("big answer, read slowly", 1, self.read_slowly),
            ("input file, data URL", 6, lambda: self.read(by_url=False)),
            ("input file, URL", 6, lambda: self.read(by_url=True)),
            ("bad input", 5, self.bad),
            ("PUT, sent again", 6, self.put_again),
            ("async with webhook", 10, self.hooked),
            ("async, polled", 4, self.polled),
            ("cancel", 3, self.canceled),
            ("client goes away", 3, self.left),
        ]
        if not self.streams:
            kinds.append(("output file", 6, lambda: self.plain("write", 500)))
        return kinds

    async def client(self) -> None:
        """One client: the next request follows the answer."""
        names, shares, calls = zip(*self.kinds(), strict=True)
        while True:
            await self.open.wait()
            index = self.chance.choices(range(len(names)), shares)[0]
            self.busy += 1
            begun = time.monotonic()
            try:
                outcome = await asyncio.wait_for(calls[index](), PATIENCE)
                self.tally.note(names[index], outcome, begun)
            except Refused as refusal:
                self.tally.note(names[index], str(refusal), begun)
                await asyncio.sleep(0.02)
            except (AssertionError, aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                self.tally.complain(names[index], repr(error))
            finally:
                self.busy -= 1

    # One request

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def create(
        self, body: dict[str, Any], method: str = "POST", path: str = "/predictions", *, later: bool = False
    ) -> tuple[int, Any]:
        headers = {"prefer": "respond-async"} if later else {}
        status, result = await self.ask(method, path, body, headers)
        if status in (409, 503):
            assert "again and again" not in result["error"], "DEFUNCT although predictions succeed between"
            raise Refused(str(status))
        return status, result

    def make(self, do: str, n: int) -> Order:
        return order(_token(), do, n, streams=self.streams)

    async def judge(self, wanted: Order, result: dict[str, Any], prediction_id: str | None = None) -> str:
        """`right`, or `worker died`; anything else fails."""
        assert prediction_id is None or result["id"] == prediction_id, result
        error = result["error"]
        if error is not None and error.startswith("WorkerDied: "):
            assert result["status"] == "failed", result
            shown = result["output"]
            assert shown is None or shown == wanted.before[: len(shown)] or shown == wanted.output, result
            lines = result["logs"].splitlines()
            told = lines[: lines.index(_TRACEBACK)] if _TRACEBACK in lines else lines
            assert all(line.startswith(wanted.token) for line in told), result
            return "worker died"
        assert (result["status"] == "failed") == (wanted.error is not None), result
        assert error == wanted.error, result
        assert result["logs"].startswith(wanted.logs), result
        assert wanted.error is not None or result["logs"] == wanted.logs, result
        if wanted.file is not None:
            assert self.outside.content(result["output"]) == wanted.file, result["output"][:200]
        else:
            assert result["output"] == wanted.output, result
        return "right"

    # Kinds of requests

    async def plain(self, do: str, n: int) -> str:
        wanted = self.make(do, n)
        begun = time.perf_counter()
        status, result = await self.create({"input": wanted.input})
        assert status == 200, (status, result)
        if do == "":
            self.tally.latencies.append(time.perf_counter() - begun)
        return await self.judge(wanted, result)

    async def read(self, *, by_url: bool) -> str:
        token = _token()
        content = self.chance.randbytes(self.chance.randrange(100_000))
        url = self.outside.offer(token, content) if by_url else ""
        wanted = reading(token, content, url, streams=self.streams)
        try:
            status, result = await self.create({"input": wanted.input})
        finally:
            self.outside.withdraw(token)
        assert status == 200, (status, result)
        return await self.judge(wanted, result)

    async def bad(self) -> str:
        bad = self.chance.choice(
            [{}, {"token": 3}, {"token": "t", "n": "x"}, {"token": "t", "file": "data:;base64,%"}]
        )
        status, result = await self.create({"input": bad})
        assert status == 422, (status, result)
        assert result["detail"], result
        return "refused, as it must be"

    async def put_again(self) -> str:
        """The same PUT twice at once, as a client does that lost an answer, and once more afterwards."""
        wanted = self.make("print", 3)
        path, body = f"/predictions/{wanted.token}", {"input": wanted.input}
        begun = time.monotonic()
        answers = await asyncio.gather(*(self.ask("PUT", path, body) for _ in range(2)))
        ended = [result for status, result in answers if status == 200]
        if not ended:
            refused = [status for status, _ in answers if status in (409, 503)]
            assert refused, answers
            raise Refused(str(refused[0]))
        verdicts = [await self.judge(wanted, result, wanted.token) for result in ended]
        if "right" in verdicts and time.monotonic() - begun < 3:
            again = await self.ask("PUT", path, body)
            assert again == (200, ended[verdicts.index("right")]), again
        return verdicts[0]

    async def hooked(self) -> str:
        wanted = self.make(self.chance.choice(["", "print", "fail"]), 5)
        body = {
            "id": wanted.token,
            "input": wanted.input,
            "webhook": self.outside.url + "/hooks",
            "webhook_events_filter": ["completed"],
        }
        told = self.outside.expect(wanted.token)
        try:
            status, result = await self.create(body, later=True)
            assert status == 202, (status, result)
            result = await asyncio.wait_for(told, PATIENCE / 2)
        finally:
            self.outside.forget(wanted.token)
        return await self.judge(wanted, result, wanted.token)

    async def polled(self) -> str:
        wanted = self.make("", 0)
        status, result = await self.create({"id": wanted.token, "input": wanted.input}, later=True)
        assert status == 202, (status, result)
        return await self.judge(wanted, await self._end(wanted.token), wanted.token)

    async def canceled(self) -> str:
        wanted = self.make("sleep", 0)
        status, result = await self.create({"id": wanted.token, "input": wanted.input}, later=True)
        assert status == 202, (status, result)
        await asyncio.sleep(self.chance.random() * 0.05)
        status, result = await self.ask("POST", f"/predictions/{wanted.token}/cancel")
        assert status in (200, 404), (status, result)
        return self._canceled(wanted, await self._end(wanted.token))

    async def left(self) -> str:
        """The client of a sync prediction goes away: it is cancelled."""
        wanted = self.make("sleep", 0)
        body = {"id": wanted.token, "input": wanted.input}
        going = asyncio.ensure_future(self.create(body))
        done, _ = await asyncio.wait([going], timeout=0.02 + self.chance.random() * 0.04)
        if done:
            _, result = going.result()
            return self._canceled(wanted, result)
        going.cancel()
        with suppress(asyncio.CancelledError):
            await going
        return self._canceled(wanted, await self._end(wanted.token, known=False))

    async def read_slowly(self) -> str:
        wanted = self.make("big", 60_000)
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 14)
        try:
            text = json.dumps({"input": wanted.input}).encode()
            head = f"POST /predictions HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n"
            writer.write(head.encode() + text)
            received = bytearray()
            while chunk := await reader.read(1 << 14):
                received += chunk
                await asyncio.sleep(0.001)
        finally:
            writer.close()
        first, _, _ = received.partition(b"\r\n")
        result = json.loads(received.partition(b"\r\n\r\n")[2])
        status = int(first.split()[1])
        if status in (409, 503):
            raise Refused(str(status))
        assert status == 200, (status, result)
        return await self.judge(wanted, result)

    def _canceled(self, wanted: Order, result: dict[str, Any]) -> str:
        if result["status"] == "canceled":
            assert (result["error"], result["logs"]) == (None, ""), result
            return "right"
        assert result["status"] == "failed", result
        assert result["error"].startswith("WorkerDied: "), result
        return "worker died"

    async def _end(self, prediction_id: str, *, known: bool = True) -> dict[str, Any]:
        """The prediction when it has ended; `known` is False when it may never have been accepted."""
        deadline = time.monotonic() + PATIENCE / 2
        seen = known
        while True:
            status, result = await self.ask("GET", f"/predictions/{prediction_id}")
            seen = seen or status == 200
            if status == 200 and result["status"] in TERMINAL:
                return dict(result)
            assert status == 200 or not known, (status, result)
            if not seen and time.monotonic() > deadline - PATIENCE / 2 + 1:
                raise Refused("not accepted")
            assert time.monotonic() < deadline, f"{prediction_id} does not end: {result}"
            await asyncio.sleep(0.01)


def _token() -> str:
    return f"token-{next(_tokens)}-{random.getrandbits(32):08x}"
