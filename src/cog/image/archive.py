"""Archives that are the same, byte for byte, whenever they are made of the same files: so is the layer made of one."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cog.errors import UsageError
from cog.image.files import Entry

# 1980-01-02, where SOURCE_DATE_EPOCH says nothing: the formats that models write, ZIP for one, know no earlier time.
EPOCH: Final = 315_619_200


def epoch(environ: Mapping[str, str]) -> int:
    """The time that every file gets, in seconds since 1970 (reproducible-builds.org, SOURCE_DATE_EPOCH).

    Raises:
        UsageError: the variable is no such number.
    """
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return EPOCH
    if not text.isdecimal():
        raise UsageError(
            f"SOURCE_DATE_EPOCH={text}: write seconds since 1970, such as {EPOCH}, or leave it out"
        )
    return int(text)


def write(
    target: Path, root: str, entries: Iterable[Entry], time: int, extra: Mapping[str, bytes] | None = None
) -> None:
    """Write the archive `target`: `entries` below the folder `root`, and files whose content is `extra`, by path.

    Everything belongs to root, with the time `time`.

    Raises:
        UsageError: a file cannot be read, or changes meanwhile.
    """
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        folders: set[str] = set()
        for entry in entries:
            path = f"{root}/{entry.path}"
            _add_parents(archive, path, folders, time)
            if entry.kind == "folder":
                _add_folder(archive, path, folders, time)
            elif extra is None or entry.path not in extra:
                _add(archive, path, entry, time)
        for name, content in sorted((extra or {}).items()):
            _add_parents(archive, f"{root}/{name}", folders, time)
            info = _info(f"{root}/{name}", time)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    os.utime(target, (time, time))  # BuildKit sends a file again only when its size or its time has changed


def _add_parents(archive: tarfile.TarFile, path: str, folders: set[str], time: int) -> None:
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        _add_folder(archive, "/".join(parts[:count]), folders, time)


def _add_folder(archive: tarfile.TarFile, path: str, folders: set[str], time: int) -> None:
    if path not in folders:
        folders.add(path)
        info = _info(path, time)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)


def _add(archive: tarfile.TarFile, path: str, entry: Entry, time: int) -> None:
    info = _info(path, time)
    if entry.kind == "link":
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        archive.addfile(info)
        return
    info.mode = 0o755 if entry.executable else 0o644
    try:
        with entry.source.open("rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            archive.addfile(info, file)
    except OSError as error:
        advice = (
            "Make it readable and let it rest while the image is built, or leave it out with .dockerignore"
        )
        raise UsageError(
            f"{entry.source} cannot be put into the image: {error.strerror or error}. {advice}"
        ) from None


def _info(path: str, time: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mtime, info.mode = time, 0o644
    return info
