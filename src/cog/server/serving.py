"""One request handed to the application, and what its client gets when that fails."""

from __future__ import annotations

import logging
from typing import Final

from cog.errors import CogError
from cog.server.exchange import Exchange
from cog.server.traffic import App, AtOnce
from cog.server.wire import Answer, Receive, Scope, Send, error_answer

log = logging.getLogger("cog.server")

# What stands for a request that cannot be read.
NO_REQUEST: Final[Scope] = {"type": "http", "method": "GET", "http_version": "1.1", "headers": []}


def serve_at_once(exchange: Exchange, at_once: AtOnce) -> bool:
    """Answer it without a task, if that can be: now, or when something has happened. False when nothing was done."""
    try:
        if not at_once(exchange):
            return False
    except Exception:  # noqa: BLE001
        exchange.reply(defect(exchange))
    exchange.let_go()
    return True


async def serve(exchange: Exchange, app: App) -> bool:
    """Answer it. False when half an answer was sent, which must not look like a whole one."""
    try:
        await app(exchange.scope, exchange.receive, exchange.send)
        if not (exchange.answered or exchange.gone):
            raise RuntimeError("the application has ended without a whole answer")
    except Exception:  # noqa: BLE001
        answer = defect(exchange)
        if exchange.started:
            return exchange.answered
        await answer.send(exchange.send)
    return True


def defect(exchange: Exchange) -> Answer:
    """Tell the log of the exception that is handled now; gives what the client is told."""
    scope = exchange.scope
    log.exception("a defect of the server: %s %s has failed", scope["method"], scope.get("path"))
    return error_answer(CogError("an error of the server; its log says more"))


def refusal(error: CogError) -> App:
    """What answers a request that cannot be read."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await error_answer(error).send(send)

    return refuse
