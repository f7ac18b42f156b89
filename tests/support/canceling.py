"""Cancels, and what must be true after each."""

from __future__ import annotations

import time
from typing import Any

from support.serving import Response, Server


def cancel(server: Server, prediction_id: str) -> Response:
    return server.call("POST", f"/predictions/{prediction_id}/cancel")


def canceled(server: Server, running: str, within: float = 5.0) -> Any:
    """The prediction after its cancel, which must not take long."""
    before = time.monotonic()
    answer = cancel(server, running)
    assert (answer.status, answer.json()) == (200, {})
    ended = server.wait_for(running)
    assert time.monotonic() - before < within
    assert (ended["status"], ended["error"]) == ("canceled", None), ended
    return ended


def works(server: Server, expected: object = 7, code: str = "return 7") -> None:
    """The one slot is free again, at once, and what runs in it is not disturbed by a late cancel."""
    answer = server.predict({"code": code})
    assert answer.status == 200, answer.body
    assert (answer.json()["status"], answer.json()["output"]) == ("succeeded", expected)
