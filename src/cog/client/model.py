"""A model behind a server: is it ready, what does it take, run it, cancel it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from cog.client.connection import Answer, Connection
from cog.client.interface import Interface
from cog.errors import CogError, InputError, ModelFailed, ServerUnreachable

POLL: Final = 0.01  # seconds between two looks at a model that is being set up
CANCEL_TIMEOUT: Final = 5.0  # seconds for the answer to a cancel
# The states in which a model takes a prediction, or says itself why it does not (J32).
_UP: Final = ("READY", "BUSY", "UNHEALTHY")


class SetupFailed(ModelFailed):
    """The model's setup failed; `logs` is what it printed, a traceback included."""

    def __init__(self, logs: str) -> None:
        self.logs = logs
        lines = logs.strip().splitlines()
        super().__init__(f"Model setup failed: {lines[-1].strip()}" if lines else "Model setup failed")


class RemoteModel:
    """The model of the server at the other end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._probe = "/ready"

    def status(self) -> str:
        """One of STARTING, READY, BUSY, SETUP_FAILED, DEFUNCT and UNHEALTHY.

        Raises:
            ServerUnreachable: there is no server, or none of Cog's.
        """
        answer = self.connection.call("GET", self._probe)
        if answer.status == 404 and self._probe == "/ready":  # an older server
            self._probe = "/health-check"
            answer = self.connection.call("GET", self._probe)
        document = answer.json()
        if not isinstance(document, dict) or not isinstance(document.get("status"), str):
            raise ServerUnreachable(
                f"{self.connection.url} is no server of Cog's: it answers {self._probe} with {answer.status} "
                f"{answer.media_type or 'and nothing'}."
            )
        return str(document["status"])

    def slots(self) -> int | None:
        """How many predictions the server runs at once; None where it does not tell.

        Raises:
            ServerUnreachable: there is no server.
        """
        document = self.connection.call("GET", "/ready").json()
        slots = document.get("slots") if isinstance(document, dict) else None
        return slots if isinstance(slots, int) else None

    def wait_ready(self, timeout: float, look: Callable[[], None]) -> None:
        """Return when the model can be asked. `look` is called in between; it may raise. `timeout` is in seconds.

        Raises:
            SetupFailed: it never will.
            ModelFailed: it takes too long, or has crashed again and again.
        """
        deadline = time.monotonic() + timeout
        while (status := self.status()) not in _UP:
            if status == "SETUP_FAILED":
                raise SetupFailed(self.setup_logs())
            if status != "STARTING":
                raise ModelFailed(
                    f"The model cannot be asked: the server says {status}. Its log says why; start it again."
                )
            if time.monotonic() > deadline:
                raise ModelFailed(
                    f"Timed out: the model was not set up within {timeout:g} seconds. "
                    "--setup-timeout SECONDS gives it more."
                )
            look()
            time.sleep(POLL)

    def setup_logs(self) -> str:
        """What the model has printed while it was set up, so far."""
        document = self.connection.call("GET", "/health-check").json()
        setup = document.get("setup") if isinstance(document, dict) else None
        logs = setup.get("logs") if isinstance(setup, dict) else None
        return logs if isinstance(logs, str) else ""

    def document(self) -> Mapping[str, Any]:
        """The OpenAPI document; empty where the server has none."""
        answer = self.connection.call("GET", "/openapi.json")
        document = answer.json() if answer.status == 200 else None
        return document if isinstance(document, dict) else {}

    def start(self, interface: Interface, order: Mapping[str, object]) -> None:
        """Begin a prediction that can be asked for. `order` is the request: id, input, context.

        Raises:
            InputError: the model does not take this input.
            ModelFailed: the server refuses.
        """
        headers = {"Prefer": "respond-async"}
        answer = self.connection.call("POST", interface.path, _json(order), headers)
        if answer.status not in (200, 202):
            raise refusal(answer, interface.noun)

    def run(self, interface: Interface, order: Mapping[str, object]) -> Mapping[str, Any]:
        """Run a prediction to its end, in one exchange: for servers that cannot be asked in between.

        Raises:
            InputError: the model does not take this input.
            ModelFailed: the server refuses.
        """
        answer = self.connection.call("POST", interface.path, _json(order), timeout=None)
        document = answer.json()
        if answer.status != 200 or not isinstance(document, dict):
            raise refusal(answer, interface.noun)
        return document

    def get(self, interface: Interface, prediction_id: str) -> Mapping[str, Any]:
        """The prediction as it stands.

        Raises:
            ModelFailed: the server does not know it any more.
        """
        answer = self.connection.call("GET", f"{interface.path}/{prediction_id}")
        document = answer.json()
        if answer.status != 200 or not isinstance(document, dict):
            raise ModelFailed(f"The {interface.noun} is lost: {answer.error()}")
        return document

    def cancel(self, interface: Interface, prediction_id: str) -> None:
        """Ask for the end of a prediction; one that has ended is fine, and so is a server that is gone."""
        with suppress(ServerUnreachable):
            self.connection.close()  # it may stand in the middle of an answer
            path = f"{interface.path}/{prediction_id}/cancel"
            self.connection.call("POST", path, b"{}", timeout=CANCEL_TIMEOUT)


def refusal(answer: Answer, noun: str = "prediction") -> CogError:
    """Why the server did not take a prediction, or a training."""
    document = answer.json()
    detail = document.get("detail") if isinstance(document, dict) else None
    if answer.status == 422 and isinstance(detail, list):
        return InputError([_problem(one) for one in detail if isinstance(one, dict)] or [answer.error()])
    advice = ""
    if answer.status == 409:
        advice = " Every place of the server is taken; try again in a moment."
    elif answer.status >= 500:
        advice = " The server's log says more."
    return ModelFailed(f"The server refused the {noun} ({answer.status}): {answer.error()}{advice}")


def _problem(one: Mapping[str, object]) -> str:
    """`prompt: Field required`."""
    loc = one.get("loc")
    path = [str(step) for step in loc] if isinstance(loc, list) else []
    if path[:2] == ["body", "input"]:
        path = path[2:]
    return f"{'.'.join(path)}: {one.get('msg')}" if path else str(one.get("msg"))


def _json(order: Mapping[str, object]) -> bytes:
    return json.dumps(order, ensure_ascii=False).encode("utf-8", "backslashreplace")
