"""`--reload`: looks for changes of the model's source, and has it loaded anew."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

from cog.backend.succession import Succession
from cog.server.source import Source
from cog.service.service import Service

log = logging.getLogger("cog.server")

# Seconds between two looks, and how much longer than a look a pause is at least: of a processor a large folder takes no
# more than a tenth. Looking finds everything, in folders shared with containers and over the network too, where the
# system tells nobody of changes, and is robust against the many ways in which editors write.
PAUSE: Final = 0.1
_SHARE: Final = 10
# Seconds for which nothing may change before a change counts: `git checkout` and editors write several times.
QUIET: Final = 0.1
_NAMED: Final = 5  # changed files are named up to so many

_SKIPPED: Final = ("__pycache__", "node_modules", "site-packages", "dist-packages")

# Of a file: time of change in nanoseconds, size, and its number on the disk, which a file has that is put in its place.
Stamp: TypeAlias = tuple[int, int, int]
Look: TypeAlias = dict[str, Stamp]


class SourceWatch:
    """A thread that looks for changed files: those of Python in a folder and below it, and some that are named.

    Left out are names that begin with a dot, folders of installed packages, and folders to which symbolic links lead.
    """

    def __init__(self, folder: Path, others: Iterable[Path], changed: Callable[[list[Path]], None]) -> None:
        """What changes after this counts. `changed` gets the files, in the thread."""
        self._folder = folder
        self._others = tuple(others)
        self._changed = changed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cog-reload", daemon=True)
        self._known = self._look()

    def __enter__(self) -> SourceWatch:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; the thread may be in the middle of a look, and ends by itself."""
        self._ended.set()

    def _watch(self) -> None:
        pause = PAUSE
        while not self._ended.wait(pause):
            began = time.monotonic()
            seen = self._look()
            if seen != self._known:
                seen = self._settled(seen)
                names = sorted(
                    name for name in {*seen, *self._known} if seen.get(name) != self._known.get(name)
                )
                self._known = seen
                if names and not self._ended.is_set():
                    self._changed([Path(name) for name in names])
            else:
                pause = max(PAUSE, _SHARE * (time.monotonic() - began))

    def _settled(self, seen: Look) -> Look:
        """What there is once it stays as it is for a moment."""
        while not self._ended.wait(QUIET):
            again = self._look()
            if again == seen:
                break
            seen = again
        return seen

    def _look(self) -> Look:
        found = dict(_sources(str(self._folder)))
        for path in self._others:
            with suppress(OSError):  # it is not there now
                found[str(path)] = _stamp(path.stat())
        return found


def _sources(folder: str) -> Iterator[tuple[str, Stamp]]:
    waiting = [folder]
    while waiting:
        entries = _entries(waiting.pop())
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _SKIPPED:
                continue
            if entry.name.endswith(".py"):
                with suppress(OSError):  # it has just been removed
                    yield entry.path, _stamp(entry.stat())
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:  # it has just been removed, or is not ours to read
        return []


def _stamp(of: os.stat_result) -> Stamp:
    return of.st_mtime_ns, of.st_size, of.st_ino


def follow(
    source: Source, backend: Succession, service: Service, changed: Callable[[], None] = lambda: None
) -> SourceWatch:
    """What replaces the model whenever its source has changed, and calls `changed`. To be called on the event loop's
    thread."""
    loop = asyncio.get_running_loop()
    backend.heed(service.awaits)
    service.watch(backend.review)

    def take(paths: list[Path]) -> None:
        for path in paths:
            if path in source.settings:
                log.warning("%s has changed, which counts once the server is started again", path.name)
        names = [os.path.relpath(path, source.folder) for path in paths if path not in source.settings]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            log.info("%s%s changed: loading the model anew", ", ".join(names[:_NAMED]), more)
            backend.replace()
            changed()

    def tell(paths: list[Path]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(take, paths)

    return SourceWatch(source.folder, source.settings, tell)
