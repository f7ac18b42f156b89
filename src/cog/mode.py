"""What a server does: predict, or train. [compat]"""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """The values of `--x-mode`."""

    PREDICT = "predict"
    TRAIN = "train"


__all__ = ["Mode"]
