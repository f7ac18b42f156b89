"""A command that sees an empty folder in the place of one of the system's; nobody else does."""

from __future__ import annotations

import functools
import shutil
import subprocess


def under(folder: str, *before: str) -> list[str]:
    """What to write before a command: in a namespace of its own `folder` is empty, and `before` is done there first."""
    steps = " && ".join([f"mount -t tmpfs none {folder}", *before, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", steps, "sh"]


@functools.cache
def can_mount() -> bool:
    """True where this user may do that."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run([*under("/run"), "true"], capture_output=True, check=False)
    return done.returncode == 0
