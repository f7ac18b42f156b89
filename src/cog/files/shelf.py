"""Files that clients send ahead, to name them in inputs later: POST /v1/files.

They lie in the server's own folder and go with it, or before: when they are old, or make room for newer ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from cog.errors import AtCapacity, InsufficientStorage
from cog.files.folders import RuntimeFolder
from cog.files.threads import begin, complete
from cog.prediction.request import new_id

# Seconds, files and bytes that are kept; the oldest go first.
KEEP: Final = 24 * 3600.0
MOST: Final = 1000
BYTES: Final = 4 * 1024**3
# Files that may be on their way at once. Each has a descriptor, and is not counted above before it is there.
UNDER_WAY: Final = 16

# A hand-over to a thread costs as much as copying some 100 KB.
_PIECE: Final = 1024 * 1024
# The address of a file, on whatever host: a proxy may call this server by any name. Ids are not to be guessed.
_ADDRESS: Final = re.compile(r"https?://[^/?#]+(?:/[^?#]*)?/v1/files/([a-z2-7]{26})", re.IGNORECASE)


class Filed(NamedTuple):
    """A file that is there. `name` and `media_type` are the client's words, `metadata` is the JSON text of an object; times
    are in seconds since the epoch."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str
    metadata: bytes
    created_at: float
    expires_at: float
    path: str


class Shelf:
    """The newest files that clients have sent."""

    def __init__(
        self, folders: RuntimeFolder, *, keep: float = KEEP, most: int = MOST, most_bytes: int = BYTES
    ) -> None:
        """`keep` is in seconds."""
        self._folders = folders
        self._keep = keep
        self._most = most
        self._most_bytes = most_bytes
        self._filed: OrderedDict[str, Filed] = OrderedDict()  # in the order in which they came
        self._bytes = 0
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None

    def receive(self) -> Arrival:
        """A file that begins to come; `with` it, so that nothing is left of it when it does not come to its end.

        Raises:
            AtCapacity: as many are coming already as may.
            InsufficientStorage: there is no place for it.
        """
        if self._under_way >= UNDER_WAY:
            raise AtCapacity(
                f"{UNDER_WAY} files are being sent already, which is as many as may be at a time"
            )
        folder = os.path.join(self._folders.path, "files")
        file_id = new_id()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            arrival = Arrival(self, file_id, os.path.join(folder, file_id))
        except OSError as error:
            raise _full(error) from error
        self._under_way += 1
        return arrival

    def arrived(self) -> None:
        """One is no longer on its way."""
        self._under_way -= 1

    def add(self, file: Filed) -> None:
        """Keep it, and let the oldest go when there are too many."""
        self._filed[file.id] = file
        self._bytes += file.size
        self._drop()

    def get(self, file_id: str) -> Filed | None:
        """The file of this id, if it is still there."""
        file = self._filed.get(file_id)
        return None if file is None or file.expires_at <= time.time() else file

    def named_by(self, url: str) -> Filed | None:
        """The file whose address is `url`; None for any other address."""
        found = _ADDRESS.fullmatch(url)
        return None if found is None else self.get(found[1])

    def newest_first(self) -> Iterator[Filed]:
        """All that are there."""
        self._drop()
        return reversed(self._filed.values())

    def remove(self, file_id: str) -> bool:
        """Remove a file. False when there is none of this id."""
        file = self._filed.pop(file_id, None)
        if file is None:
            return False
        self._bytes -= file.size
        begin(partial(_unlink, file.path))
        return True

    def expires_at(self, now: float) -> float:
        """When a file that came `now` goes."""
        return now + self._keep

    def _drop(self) -> None:
        """Let go of what is too old or too much; come back when the next one is too old."""
        now = time.time()
        while self._filed:
            oldest = next(iter(self._filed.values()))
            fits = len(self._filed) <= self._most and self._bytes <= self._most_bytes
            if fits and oldest.expires_at > now:
                if self._timer is None:
                    left = oldest.expires_at - now
                    self._timer = asyncio.get_running_loop().call_later(left, self._look_again)
                return
            self.remove(oldest.id)

    def _look_again(self) -> None:
        self._timer = None
        self._drop()


class Arrival:
    """A file that is coming. Its bytes are written in large pieces, in a thread."""

    def __init__(self, shelf: Shelf, file_id: str, path: str) -> None:
        """Raises:
        OSError: it cannot be made.
        """
        self._shelf = shelf
        self._id = file_id
        self._path = path
        self._file: BinaryIO = open(path, "xb", opener=partial(os.open, mode=0o600))  # noqa: SIM115
        self._digest = hashlib.sha256()
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._kept = False

    async def __aenter__(self) -> Arrival:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._shelf.arrived()
        await complete(self._file.close)
        if not self._kept:
            await complete(_unlink, self._path)

    async def write(self, data: bytes) -> None:
        """Take some more of it.

        Raises:
            InsufficientStorage: it could not be written.
        """
        self._size += len(data)
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= _PIECE:
            await self._flush()

    async def keep(self, name: str, media_type: str, metadata: bytes) -> Filed:
        """That was all of it: put it on the shelf.

        Raises:
            InsufficientStorage: it could not be written.
        """
        await self._flush()
        now = time.time()
        expires_at = self._shelf.expires_at(now)
        file = Filed(
            self._id, name, media_type, self._size, self._digest.hexdigest(), metadata, now, expires_at, self._path
        )  # fmt: skip
        self._kept = True
        self._shelf.add(file)
        return file

    async def _flush(self) -> None:
        data, self._pending, self._pending_size = b"".join(self._pending), [], 0
        try:
            await complete(self._put, data)
        except OSError as error:
            raise _full(error) from error

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self._file.flush()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # whatever is left of it goes with the server's folder


def _full(error: OSError) -> InsufficientStorage:
    return InsufficientStorage(
        f"the file could not be kept: {error.strerror or error}. Free some space on the server's disk, or let TMPDIR "
        "name a folder on a larger one; a file may also be sent in the input itself, as a data URL"
    )
