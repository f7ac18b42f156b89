"""Which step of an image an engine is at, by what it prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cog.image.dockerfile import instruction
from cog.image.steps import Run, Step, Unpack

# `[2/2] STEP 5/11: RUN ...` of buildah and podman, `#8 [stage-1 3/7] RUN ...` of BuildKit.
_BEGUN: Final = re.compile(
    r"(?:\[\d+/\d+\] )?STEP \d+/\d+: (?P<buildah>.*)|#\d+ \[[^\]]*\d+/\d+\] (?P<buildkit>.*)"
)
_BLANK: Final = re.compile(r"[\s\\]+")
_TOLD: Final = 60  # characters of a command that are shown


class Progress:
    """Knows the steps, and finds them again in what an engine prints."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Only steps that do something are told: the others take no time."""
        self._known = {
            _flat(instruction(step)): title(step) for step in steps if isinstance(step, Run | Unpack)
        }

    def begun(self, line: str) -> str | None:
        """What has begun when the engine prints `line`; None when it says something else."""
        match = _BEGUN.match(line)
        if match is None:
            return None
        return self._known.get(_flat(match["buildah"] or match["buildkit"]))


def title(step: Step) -> str:
    """One line for a person."""
    if isinstance(step, Run) and len(step.commands) == 1:
        command = step.commands[0]
        return command if len(command) <= _TOLD else f"{command[: _TOLD - 3]}..."
    return step.why


def _flat(text: str) -> str:
    """Engines print an instruction on one line; where lines are joined they differ in blanks."""
    return _BLANK.sub("", text)
