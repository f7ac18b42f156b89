"""J26: the slot is free when the answer is there."""

from __future__ import annotations

import collections
import contextlib
import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from support.serving import DEADLINE, Server

SYNC = """
from cog import BaseRunner

class Runner(BaseRunner):
    def run(self, x: int) -> int:
        return x
"""


@pytest.mark.parametrize("source", [SYNC, SYNC.replace("def run", "async def run")], ids=["sync", "async"])
def test_j26_no_409_after_200(served: Callable[..., Server], source: str) -> None:
    server = served(source)
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE)
    seen: collections.Counter[int] = collections.Counter()
    with contextlib.closing(connection):
        for _ in range(1000):
            connection.request(
                "POST", "/predictions", b'{"input":{"x":1}}', {"content-type": "application/json"}
            )
            answer = connection.getresponse()
            answer.read()
            seen[answer.status] += 1
    assert seen == {200: 1000}
