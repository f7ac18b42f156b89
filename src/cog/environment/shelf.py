"""The environments of one model on disk: which are ready, which are in use, which can go.

.cog/environments/lock              held by who makes or removes one; never removed itself
.cog/environments/KEY/              a virtual environment
.cog/environments/KEY/ready         written last, so without it the folder is what an interruption left; names the SDK
.cog/environments/KEY/used          its time is that of the last use; locked, shared, by every command that uses it
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cog import bundle
from cog.errors import EnvironmentFailed
from cog.version import __version__

KEPT: Final = 3  # environments that a model has at most, beside those that are in use
_READY: Final = "ready"
_USED: Final = "used"


def ready(place: Path) -> str | None:
    """Which SDK the environment in `place` has; None when it is not ready, or its Python is gone."""
    try:
        sdk = (place / _READY).read_text()
    except (OSError, ValueError):
        return None
    return sdk if os.access(place / "bin" / "python", os.X_OK) else None


def set_ready(place: Path, sdk: str) -> None:
    """Say that the environment is ready; the file is whole at any moment. The caller has the lock."""
    fresh = place / f"{_READY}.new"
    with open(fresh, "w") as file:
        file.write(sdk)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, place / _READY)


def use(place: Path) -> None:
    """Note that the environment is used, from now until this process, or what it turns into by exec, has ended.

    Only an environment that is ready after this call is sure to stay.
    """
    # Without effect on a disk that is read-only or knows no locks: nobody will remove anything there.
    with contextlib.suppress(OSError):
        descriptor = os.open(place / _USED, os.O_RDWR | os.O_CREAT, 0o644)
        os.set_inheritable(descriptor, True)  # never closed: the lock goes with the last process that has it
        os.utime(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextlib.contextmanager
def locked(shelf: Path, waiting: Callable[[], None]) -> Iterator[int]:
    """Be the only one that makes or removes environments of this model; `waiting` is called when another one is.

    Gives the descriptor of the lock.

    Raises:
        EnvironmentFailed: the folder cannot be written.
    """
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        _ignore(shelf.parent)
        descriptor = os.open(shelf / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise EnvironmentFailed(_unusable(shelf, error)) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a disk that knows no locks, as some of a network: two at a time are rare enough
            pass
        yield descriptor
    finally:
        os.close(descriptor)


def _unusable(shelf: Path, error: OSError) -> str:
    for place in (shelf.parent, shelf):
        if os.path.lexists(place) and not place.is_dir():
            what = "a link to nothing" if place.is_symlink() else "a file"
            return (
                f"{place} is {what}, but the model's environment is kept in a folder of that name. Move it away, or use "
                "`--no-env`."
            )
    return (
        f"{shelf} cannot be written: {error.strerror}. The model's environment is kept there. Make the folder writable, "
        "or use `--no-env`."
    )


def _ignore(folder: Path) -> None:
    """Keep what is in `.cog` out of git."""
    with contextlib.suppress(FileExistsError), open(folder / ".gitignore", "x") as file:
        file.write("*\n")


def clear(place: Path) -> None:
    """Remove what is in the place of an environment, the mark first. The caller has the lock."""
    (place / _READY).unlink(missing_ok=True)
    _remove(place)


def prune(shelf: Path, newest: Path) -> None:
    """Remove what interruptions left, and environments that were not used for the longest time. The caller has the lock."""
    places = [each for each in shelf.iterdir() if each.is_dir() and each != newest]
    kept = sorted(filter(ready, places), key=_last_use, reverse=True)[: KEPT - 1]
    for place in places:
        if place not in kept:
            with contextlib.suppress(OSError):  # in use, or another user's: it is tried again the next time
                _retire(place)
                _remove(place)


def _last_use(place: Path) -> float:
    try:
        return (place / _USED).stat().st_mtime
    except OSError:
        return 0.0


def _retire(place: Path) -> None:
    """Make an environment not ready, unless somebody uses it.

    Raises:
        OSError: somebody does.
    """
    descriptor = os.open(place / _USED, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(
            descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB
        )  # who wants to use it has to wait, and then looks again
        (place / _READY).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def sdk() -> str:
    """What tells the SDK of this cog from any other: version, place, and when it was changed last."""
    package = Path(__file__).resolve().parents[1]
    changed = max(os.stat(each).st_mtime_ns for part in bundle.PARTS for each in _sources(package / part))
    return f"{__version__} {changed} {package}"


def _sources(part: Path) -> Iterator[Path]:
    return part.glob("*.py") if part.is_dir() else iter((part,))


def install_sdk(place: Path) -> None:
    """Put the SDK of this cog into an environment, in the place of the one that is there. The caller has the lock."""
    (packages,) = (place / "lib").glob("python3*/site-packages")
    target, fresh = packages / "cog", packages / ".cog-new"
    _remove(fresh)
    bundle.install(fresh, link=False)
    _remove(target)
    os.rename(fresh / "cog", target)
    _remove(fresh)


def _remove(path: Path) -> None:
    """Remove a folder, or what else is there."""
    import shutil  # in its place: no command needs it when nothing is made

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
