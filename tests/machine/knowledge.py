"""What the machine knows of a prediction, and what must therefore be true of it once it has ended."""

from __future__ import annotations

import base64
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from machine.subject import Client
from support.serving import Response

CONTENT: Final = "what the file says"
DATA_URL: Final = "data:text/plain;base64," + base64.b64encode(CONTENT.encode()).decode()
TERMINAL: Final = frozenset({"succeeded", "failed", "canceled"})


@dataclass(eq=False)
class Known:
    """A prediction that was accepted. `pid` is the worker that runs it; `answer` its waiting client's."""

    token: str
    ending: str
    with_file: bool
    pid: int = 0
    client: Client | None = None
    answer: Future[Response | None] | None = None
    hooked: bool = False
    left: bool = False  # its client went away
    ended_at: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)

    def by_itself(self) -> frozenset[str]:
        """How it may end when nothing happens to it."""
        return frozenset({{"fail": "failed", "die": "died"}.get(self.ending, "succeeded")})

    def output(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "token": self.token,
            "filler": "",
            "content": CONTENT if self.with_file else None,
        }
        if self.ending == "file":
            told["file"] = "data:text/plain;base64," + base64.b64encode(self.token.encode()).decode()
        return told

    def check(self, result: dict[str, Any], allowed: frozenset[str]) -> None:
        """`result` is how it ended; `allowed` are its ways to end: a status, or `died` for a dead worker."""
        assert result["id"] == self.token
        assert result["status"] in TERMINAL, result
        assert None not in (result["created_at"], result["started_at"], result["completed_at"]), result
        assert result["created_at"] <= result["started_at"] <= result["completed_at"], result
        error = result["error"]
        died = error is not None and error.startswith("WorkerDied: ")
        way = "died" if died else result["status"]
        assert way in allowed, f"{self.token} ended as {way}, not as one of {sorted(allowed)}: {result}"
        logs, begins, ends = result["logs"], f"{self.token} begins\n", f"{self.token} ends\n"
        if way == "succeeded":
            assert (result["output"], error, logs) == (self.output(), None, begins + ends)
        elif way == "failed":
            assert error == f"ValueError: {self.token}"
            assert logs.startswith(begins + ends)
            assert "Traceback" in logs
        else:
            # What it printed before its death or its cancel is there, and nobody else's text is.
            assert logs.startswith(begins), result
            assert all(
                self.token in line for line in logs.splitlines()[:2] if " begins" in line or " ends" in line
            )
            assert result["output"] is None
            assert (error is None) == (way == "canceled")
