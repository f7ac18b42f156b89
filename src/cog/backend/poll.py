"""For how long server and workers look for more before they sleep (`--busy-poll`)."""

from __future__ import annotations

from typing import Final, NamedTuple

from cog.backend import machine


class Poll(NamedTuple):
    """For how many `seconds` one looks after something has come: `always`, or while orders come one at a time, each
    within as many seconds of the one before."""

    seconds: float
    always: bool = True


NEVER: Final = Poll(0.0)
# Twice what a prediction takes for which everybody has to be woken.
IN_TURN: Final = Poll(0.0005, always=False)


def choose(seconds: float | None) -> Poll:
    """What `--busy-poll` says. Without it: what fits this machine."""
    if seconds is None:
        return IN_TURN if machine.has_two_to_spare() else NEVER
    return Poll(seconds)
