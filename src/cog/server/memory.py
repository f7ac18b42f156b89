"""What the server has freed goes back to the system, and is there for the model."""

from __future__ import annotations

import sys
from typing import Final

# mallopt(3). By default glibc keeps what bursts of large answers took (measured: 6 to 12 MB of 50, for ever), and lets
# every thread have a heap of its own.
_OPTIONS: Final = {-1: 128 * 1024, -3: 128 * 1024, -8: 2}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX


def give_back_early() -> None:
    """Ask the C library to return freed memory early. Without glibc nothing is asked."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, OSError, AttributeError):
        return
    for option, value in _OPTIONS.items():
        mallopt(option, value)
