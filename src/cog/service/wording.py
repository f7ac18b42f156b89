"""What a client is told whose request is refused: why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from cog.backend.protocol import Standing, State


class Wording(NamedTuple):
    """How one service speaks of what it runs: its `plural`, why there is no place, and what each state means."""

    plural: str
    busy: str
    states: Mapping[State, str]

    def explain(self, standing: Standing) -> str:
        """Why nothing can run now."""
        text = self.states[standing.state]
        return text if standing.cause is None else f"{text}. Cause: {standing.cause}"


_STATES: Final = MappingProxyType({
    State.STARTING: "the model is not ready yet. Wait until setup has finished; GET /health-check tells",
    State.SETUP_FAILED: "the model's setup failed, so nothing can run; GET /health-check has the logs",
    State.DEFUNCT: "the model's worker died again and again; the server tries anew every 60 seconds",
    State.READY: "the model is ready",
})  # fmt: skip

PREDICTIONS: Final = Wording(
    "predictions",
    "every prediction slot is busy. Send the request again when one has ended, or give the model more slots: "
    "--threads for a plain `def run`, @concurrent(max=N) for an `async def run`",
    _STATES,
)

# Of a server in train mode.
TRAININGS: Final = Wording(
    "trainings",
    "a training is running. Send the request again when it has ended, or allow more at a time: --threads for a plain "
    "`def train`, @concurrent(max=N) for an `async def train`",
    _STATES,
)

# Of trainings that are served beside the predictions.
TRAININGS_BESIDE: Final = Wording(
    "trainings",
    "a training is running, and beside the predictions there is one at a time. Send the request again when it has ended",
    MappingProxyType({
        **_STATES,
        State.STARTING: "the training function is still being imported. Send the request again in a moment",
        State.SETUP_FAILED: "the training function cannot be loaded, so nothing can be trained; the server's log says more. "
        "It is tried again after 10 seconds",
    }),
)  # fmt: skip
