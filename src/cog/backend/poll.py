"""For how long server and workers look for more before they sleep (`--busy-poll`)."""

from __future__ import annotations

from typing import Final, NamedTuple

from cog.backend import machine


class Poll(NamedTuple):
    """For how many `seconds` server and workers look for more after an order and after the end of a run: `always`, or while
    predictions come one at a time and neither the model nor who asks it takes longer than that."""

    seconds: float
    always: bool = True


NEVER: Final = Poll(0.0)
# Of the 0.2 to 0.35 ms that a prediction takes for which everybody has to be woken, each side waits for about a half.
IN_TURN: Final = Poll(0.0003, always=False)


def poll_of(seconds: float | None) -> Poll:
    """What `--busy-poll` says. Without it: what fits this machine."""
    if seconds is None:
        return IN_TURN if machine.has_two_to_spare() else NEVER
    return Poll(seconds)
