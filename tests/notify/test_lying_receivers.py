"""What becomes of a webhook whose receiver does not behave. docs/webhooks.md has the same table in words."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time

import pytest

from cog.net.client import Client
from cog.notify import deliveries
from cog.notify.webhooks import Webhooks
from cog.prediction.events import Done, Status
from cog.prediction.record import Prediction
from cog.prediction.request import Webhook
from support.liars import Liar, answers_first, babbles, hangs, lying, says, says_and_hangs, take

TRIES = 3
LIMIT = 0.4  # seconds for a try in these tests

DELIVERED, AGAIN, FINAL = 1, TRIES, -1


def status(code: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {code} X", *headers, "content-length: 0", "", ""]).encode()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends its answer byte by byte, each within any limit for a pause, and never comes to the end of its head."""
    await take(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not writer.is_closing():
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(0.01)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await take(reader)
    writer.transport.abort()


OK = b"HTTP/1.1 200 OK\r\n"
CASES = {
    "200": (says(status(200)), DELIVERED, ""),
    "201": (says(status(201)), DELIVERED, ""),
    "202": (says(status(202)), DELIVERED, ""),
    "204": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), DELIVERED, ""),
    "205": (says(status(205)), DELIVERED, ""),
    "299": (says(status(299)), DELIVERED, ""),
    "204 with a body": (says(b"HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\nhello"), AGAIN, "not valid HTTP"),
    "no length, no end": (says_and_hangs(OK + b"\r\nhello"), DELIVERED, ""),
    "endless body": (babbles(OK + b"\r\n", b"y" * 65536), DELIVERED, ""),
    "endless chunks": (
        babbles(OK + b"transfer-encoding: chunked\r\n\r\n", b"4\r\nyyyy\r\n" * 500),
        DELIVERED,
        "",
    ),
    "a length that is never reached": (says_and_hangs(OK + b"content-length: 99999999999999\r\n\r\n"), DELIVERED, ""),
    "breaks off in the body": (says(OK + b"content-length: 10\r\n\r\nhal"), DELIVERED, ""),
    "bad chunks": (says(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nbad"), AGAIN, "not valid HTTP"),
    "not gzip": (says(OK + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"), DELIVERED, ""),
    "some 1xx first": (says(b"HTTP/1.1 102 Processing\r\n\r\n" * 20 + status(200)), DELIVERED, ""),
    "answers before it reads": (answers_first(status(200)), DELIVERED, ""),
    "300": (says(status(300, "location: /a")), FINAL, "the receiver answered 300, and redirects are not followed"),
    "301": (says(status(301, "location: /a")), FINAL, "the receiver answered 301"),
    "303": (says(status(303, "location: /a")), FINAL, "the receiver answered 303"),
    "304": (says(b"HTTP/1.1 304 X\r\n\r\n"), FINAL, "the receiver answered 304"),
    "308": (says(status(308, "location: http://169.254.169.254/")), FINAL, "the receiver answered 308"),
    "101": (says(b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), FINAL, "the receiver answered 101"),
    "400": (says(status(400)), FINAL, "the receiver answered 400"),
    "410": (says(status(410)), FINAL, "the receiver answered 410"),
    "413 before it reads": (answers_first(status(413)), FINAL, "the receiver answered 413"),
    "429": (says(status(429)), AGAIN, "the receiver answered 429"),
    "500": (says(status(500)), AGAIN, "the receiver answered 500"),
    "599": (says(status(599)), AGAIN, "the receiver answered 599"),
    "hangs": (hangs, AGAIN, "there was no answer in time"),
    "drips": (drips, AGAIN, "there was no answer in time"),
    "closes": (says(b""), AGAIN, "closed the connection without an answer"),
    "resets": (resets, AGAIN, "the connection"),
    "breaks off in the head": (says(b"HTTP/1.1 200 OK\r\nx"), AGAIN, "the "),
    "garbage": (says(b"\x00\xff garbage \r\n\r\n"), AGAIN, "the answer is not valid HTTP"),
    "another protocol": (says(b"SSH-2.0-OpenSSH_9.9\r\n"), AGAIN, "the answer is not valid HTTP"),
    "endless headers": (babbles(OK, b"x-a: b\r\n" * 100), AGAIN, "the answer is not valid HTTP"),
    "an endless header": (babbles(OK + b"x: ", b"y" * 65536), AGAIN, "the answer is not valid HTTP"),
    "1xx without end": (babbles(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 10), AGAIN, "there was no answer in time"),
    "two lengths": (
        says(OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        AGAIN,
        "the answer is not valid HTTP",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "TRY_TIMEOUT", LIMIT)
    monkeypatch.setattr(deliveries, "TRIES", TRIES)


async def deliver(url: str, *, text: str = "out") -> float:
    """Tell `url` of an ended prediction, until it is delivered or given up; how many seconds that took."""
    async with Client() as client:
        webhooks = Webhooks(client, interval=0.5, token=None, first_wait=0.0001)
        prediction = Prediction("p1", b"{}", created_at=0.0, streams=False)
        prediction.listeners.append(webhooks.listener(Webhook(url, frozenset({"completed"}))))
        begin = time.monotonic()
        prediction.publish(Done(Status.FAILED, time.time(), None, text, None))
        while not webhooks.idle:
            await asyncio.sleep(0.002)
        took = time.monotonic() - begin
        await webhooks.close(0)
        return took


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "cog.notify"]


def judge(caplog: pytest.LogCaptureFixture, liar: Liar, verdict: int, why: str) -> None:
    assert liar.count == abs(verdict)
    if verdict == DELIVERED:
        assert reasons(caplog) == []
    else:
        (record,) = [record for record in caplog.records if record.name == "cog.notify"]
        assert record.getMessage().startswith("A webhook was not delivered: ")
        assert why in record.getMessage()
        assert record.levelno == logging.ERROR
        assert record.__dict__["fields"]["tries"] == abs(verdict)


@pytest.mark.parametrize("case", CASES)
def test_each_has_one_verdict(case: str, caplog: pytest.LogCaptureFixture) -> None:
    conduct, verdict, why = CASES[case]

    async def run() -> tuple[Liar, float]:
        async with lying(conduct) as liar:
            return liar, await deliver(liar.url)

    liar, took = asyncio.run(asyncio.wait_for(run(), 20))
    judge(caplog, liar, verdict, why)
    assert took < TRIES * LIMIT + 3


@pytest.mark.parametrize("case", ["answers before it reads", "413 before it reads", "hangs", "200"])
def test_a_large_message_to_the_same(case: str, caplog: pytest.LogCaptureFixture) -> None:
    conduct, verdict, why = CASES[case]

    async def run() -> Liar:
        async with lying(conduct) as liar:
            await deliver(liar.url, text="x" * 8_000_000)
            return liar

    judge(caplog, asyncio.run(asyncio.wait_for(run(), 20)), verdict, why)


def test_what_is_read_of_an_answer_is_bounded() -> None:
    """Its status is what counts; the rest is neither kept nor waited for."""
    sent = 0

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await take(reader)
        writer.write(OK + b"\r\n")
        while not writer.is_closing():
            writer.write(b"y" * 65536)
            await writer.drain()
            sent += 65536

    async def run() -> None:
        async with lying(conduct) as liar:
            await deliver(liar.url)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert sent < 32 * 1024 * 1024  # what fits in the buffers of both sockets


@pytest.mark.parametrize(
    ("text", "least"),
    [("1", 1.0), ("0", 0.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0), ("Wed, 21 Oct 2037 07:28:00 GMT", 0.0)],
)
def test_a_receiver_may_say_when(text: str, least: float) -> None:
    at: list[float] = []

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        at.append(time.monotonic())
        writer.write(status(503 if len(at) == 1 else 200, f"retry-after: {text}"))

    async def run() -> None:
        async with lying(conduct) as liar:
            await deliver(liar.url)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert len(at) == 2
    assert least <= at[1] - at[0] < least + 0.9


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "LONGEST_ASKED", 0.2)

    async def run() -> float:
        async with lying(says(status(429, "retry-after: 999999"))) as liar:
            return await deliver(liar.url)

    assert 0.4 <= asyncio.run(asyncio.wait_for(run(), 20)) < 2


def test_tls_where_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> Liar:
        async with lying(answers_first(status(200))) as liar:
            await deliver(liar.url.replace("http:", "https:"))
            return liar

    judge(caplog, asyncio.run(asyncio.wait_for(run(), 20)), AGAIN, "no connection to 127.0.0.1")


def test_a_certificate_that_nobody_vouches_for(
    caplog: pytest.LogCaptureFixture, certificate: ssl.SSLContext
) -> None:
    async def run() -> None:
        server = await asyncio.start_server(says(status(200)), "127.0.0.1", 0, ssl=certificate)
        async with server:
            await deliver(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    asyncio.run(asyncio.wait_for(run(), 20))
    (reason,) = reasons(caplog)
    assert "the certificate of 127.0.0.1 is not valid" in reason


@pytest.fixture
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    import shutil
    import subprocess

    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


def test_a_name_that_leads_to_a_metadata_address_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The name itself is innocent; its address is judged when the connection is made."""
    import socket

    def lookup(host: str, port: int, *args: object, **more: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    asyncio.run(asyncio.wait_for(deliver("http://hooks.example.com/"), 20))
    (record,) = [record for record in caplog.records if record.name == "cog.notify"]
    assert "hooks.example.com leads to 169.254.169.254" in record.getMessage()
    assert record.__dict__["fields"]["tries"] == 1


def test_a_name_that_is_unknown_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(asyncio.wait_for(deliver("http://nobody.invalid/"), 60))
    (record,) = [record for record in caplog.records if record.name == "cog.notify"]
    assert "cannot be resolved" in record.getMessage() or "no answer in time" in record.getMessage()
    assert record.__dict__["fields"]["tries"] == TRIES
