"""The table of states that the code runs on; the picture in the documentation is drawn from it."""

from __future__ import annotations

from typing import Final

from cog.errors import StateError
from cog.prediction.events import Done, Event, Log, Metric, Output, Started, Status

# From where, on what, to where. `Done` leads to the state that it names.
TABLE: Final[dict[Status, dict[type[Event], frozenset[Status]]]] = {
    Status.STARTING: {
        Started: frozenset({Status.PROCESSING}),
        # It may end before it was started: canceled while it waits, or an input file that cannot be had.
        Done: frozenset({Status.FAILED, Status.CANCELED}),
    },
    Status.PROCESSING: {
        Log: frozenset({Status.PROCESSING}),
        Output: frozenset({Status.PROCESSING}),
        Metric: frozenset({Status.PROCESSING}),
        Done: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED}),
    },
    Status.SUCCEEDED: {},
    Status.FAILED: {},
    Status.CANCELED: {},
}


def following(state: Status, event: Event) -> Status:
    """The state after `event`.

    Raises:
        StateError: the table does not know this event in this state.
    """
    targets = TABLE[state].get(type(event), frozenset())
    wanted = event.status if type(event) is Done else Status.PROCESSING
    if wanted not in targets:
        raise StateError(
            f"a prediction that is {state.value} cannot take {type(event).__name__.lower()} ({wanted.value})"
        )
    return wanted
