"""How many files this process may have open."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

_MOST: Final = 1 << 20  # more than that nobody serves from one process


def allow() -> int:
    """Let this process open as many files as the system allows it; gives how many it was allowed before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # macOS allows less than it says; then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft
