"""Signatures of webhooks, against the formula of Standard Webhooks and what receivers do with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from pathlib import Path
from typing import Any

import pytest

from cog.net.client import Client
from cog.notify import post
from cog.notify.signature import sign
from cog.notify.webhooks import Webhooks
from cog.prediction.events import Done, Status
from cog.prediction.record import Prediction
from cog.prediction.request import Webhook
from support.receiving import Incoming, Receiver, Reply, receiving

KEYS = (b"0123456789abcdef01234567", bytes(range(64)))


def by_hand(key: bytes, content: bytes) -> str:
    """HMAC-SHA256 as RFC 2104 writes it, with nothing but a hash."""
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + content).digest()
    return base64.b64encode(hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()).decode()


def test_the_example_of_the_standard() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_formula() -> None:
    content = b"msg_1.1700000000." + b'{"a":1}'
    expected = " ".join(f"v1,{by_hand(key, content)}" for key in KEYS)
    assert sign(KEYS, "msg_1", 1700000000, b'{"a":1}') == expected


def told(keys: tuple[bytes, ...], *, text: str = "out", refusals: int = 0) -> list[Incoming]:
    """What a receiver gets of an ended prediction; it refuses the first tries."""
    statuses = iter([503] * refusals)

    async def run(hook: Receiver) -> None:
        async with Client() as client:
            webhooks = Webhooks(client, interval=0.5, token=None, keys=keys, first_wait=0.0001)
            prediction = Prediction("p1", b"{}", created_at=0.0, streams=False)
            prediction.listeners.append(webhooks.listener(Webhook(hook.url, frozenset({"completed"}))))
            prediction.publish(Done(Status.FAILED, time.time(), None, text, None))
            await webhooks.close(10)

    with receiving(lambda _: Reply(next(statuses, 200))) as hook:
        asyncio.run(run(hook))
        return hook.got


@pytest.mark.parametrize("size", [3, post._SIGNED_AT_ONCE + 1])
def test_each_try_is_signed_with_every_key(size: int) -> None:
    got = told(KEYS, text="é" * (size // 2 + 1), refusals=2)
    assert len(got) == 3
    assert len({one.headers["webhook-id"] for one in got}) == 1
    for one in got:
        head = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode()
        assert one.headers["webhook-signature"].split(" ") == [
            f"v1,{by_hand(key, head + one.body)}" for key in KEYS
        ]
        assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 10


def test_without_keys_there_is_no_signature() -> None:
    (one,) = told(())
    assert "webhook-signature" not in one.headers


def example() -> Any:
    """The function for receivers of docs/webhooks.md."""
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["verify"]


def test_the_example_for_receivers_works(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = example()
    (one,) = told(KEYS)
    for key in KEYS:
        assert verify(one.headers, one.body, "whsec_" + base64.b64encode(key).decode())
    secret = "whsec_" + base64.b64encode(KEYS[0]).decode()
    assert not verify(one.headers, one.body + b" ", secret)
    assert not verify({**one.headers, "webhook-id": "msg_other"}, one.body, secret)
    assert not verify(one.headers, one.body, "whsec_" + base64.b64encode(bytes(24)).decode())
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert not verify(one.headers, one.body, secret)
