"""The servers that are compared, one file each."""

from __future__ import annotations

from typing import Final

from benchmarks.contestant import Contestant
from benchmarks.contestants.bento import Bento
from benchmarks.contestants.echo import Echo
from benchmarks.contestants.litserve import LitServe
from benchmarks.contestants.mosec import Mosec
from benchmarks.contestants.ours import Ours
from benchmarks.contestants.rayserve import RayServe
from benchmarks.contestants.reference import Reference

ALL: Final[tuple[Contestant, ...]] = (
    Ours(),
    Ours(batching=False),
    Reference(),
    Mosec(),
    LitServe(),
    Bento(),
    RayServe(),
    Echo(),
)
"""In the order of the tables."""
