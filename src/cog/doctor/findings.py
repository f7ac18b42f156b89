"""What a check of the doctor finds, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from cog.doctor.edits import Fix

# `note` tells of something that is neither right nor wrong, such as what could not be looked at.
Level: TypeAlias = Literal["error", "warning", "note", "ok"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file. `line` counts from 1; None means the file as a whole."""

    path: Path
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has to say: `text` is what is so, `advice` why it matters and what to do.

    `detail` is shown below, line by line, such as the offending line or a traceback. `fix` is there where the doctor
    can mend it without changing what the model does.
    """

    check: str
    level: Level
    text: str
    where: Place | None = None
    advice: str = ""
    detail: str = ""
    fix: Fix | None = None
