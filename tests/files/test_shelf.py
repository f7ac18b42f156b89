"""The shelf of files that were sent ahead: what it keeps, and when it lets go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cog.errors import AtCapacity, InsufficientStorage
from cog.files.folders import RuntimeFolder
from cog.files.shelf import UNDER_WAY, Filed, Shelf


async def put(shelf: Shelf, content: bytes = b"abc") -> Filed:
    async with shelf.receive() as arrival:
        await arrival.write(content)
        return await arrival.keep("a.txt", "text/plain", b"{}")


async def come(condition: Callable[[], bool]) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(look(), 10)


def play(folder: Path, act: Callable[[RuntimeFolder], Awaitable[None]]) -> None:
    async def run() -> None:
        with RuntimeFolder(str(folder)) as folders:
            await act(folders)

    asyncio.run(run())


def test_a_file_is_there_until_it_is_removed(tmp_path: Path) -> None:
    async def act(folders: RuntimeFolder) -> None:
        shelf = Shelf(folders)
        content = os.urandom(3 * 1024 * 1024)
        file = await put(shelf, content)
        assert Path(file.path).read_bytes() == content
        assert os.stat(file.path).st_mode & 0o777 == 0o600
        assert shelf.get(file.id) == file
        assert shelf.remove(file.id)
        assert not shelf.remove(file.id)
        assert shelf.get(file.id) is None
        await come(lambda: not os.path.exists(file.path))

    play(tmp_path, act)


def test_the_oldest_make_room(tmp_path: Path) -> None:
    async def act(folders: RuntimeFolder) -> None:
        by_number, by_size = Shelf(folders, most=2), Shelf(folders, most_bytes=7)
        for shelf in (by_number, by_size):
            files = [await put(shelf) for _ in range(3)]
            assert list(shelf.newest_first()) == files[:0:-1]
        await put(by_size, b"12345678")  # larger than all that may be kept
        assert list(by_size.newest_first()) == []
        # What was let go is removed in a thread; the two of the first shelf stay.
        await come(lambda: len(os.listdir(os.path.join(folders.path, "files"))) == 2)

    play(tmp_path, act)


def test_what_is_too_old_goes_though_nobody_asks(tmp_path: Path) -> None:
    async def act(folders: RuntimeFolder) -> None:
        shelf = Shelf(folders, keep=0.05)
        files = [await put(shelf), await put(shelf)]
        await come(lambda: not any(os.path.exists(file.path) for file in files))
        assert shelf.get(files[0].id) is None

    play(tmp_path, act)


def test_what_does_not_come_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    async def act(folders: RuntimeFolder) -> None:
        shelf = Shelf(folders)
        try:
            async with shelf.receive() as arrival:
                await arrival.write(b"x" * 2_000_000)
                raise RuntimeError("the client has gone")
        except RuntimeError:
            pass
        assert os.listdir(os.path.join(folders.path, "files")) == []
        arrivals = [shelf.receive() for _ in range(UNDER_WAY)]
        with pytest.raises(AtCapacity, match="being sent already"):
            shelf.receive()
        for arrival in arrivals:
            async with arrival:
                pass
        await put(shelf)

    play(tmp_path, act)


def test_a_disk_that_cannot_take_it_is_said_to_be_so(tmp_path: Path) -> None:
    async def act(folders: RuntimeFolder) -> None:
        Path(folders.path, "files").touch()  # a file, where the folder should be
        with pytest.raises(InsufficientStorage, match="could not be kept: "):
            Shelf(folders).receive()

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("http://localhost:5000/v1/files/{}", True),
        ("HTTPS://example.org/models/blur/v1/files/{}", True),
        ("http://localhost/v1/files/{}/more", False),
        ("http://localhost/v1/files/{}?a=b", False),
        ("http://localhost/v2/files/{}", False),
        ("ftp://localhost/v1/files/{}", False),
        ("{}", False),
        ("http://localhost/v1/files/aaaaaaaaaaaaaaaaaaaaaaaaaa", False),
    ],
)
def test_the_address_of_a_file(tmp_path: Path, address: str, known: bool) -> None:
    async def act(folders: RuntimeFolder) -> None:
        shelf = Shelf(folders)
        file = await put(shelf)
        assert shelf.named_by(address.format(file.id)) == (file if known else None)

    play(tmp_path, act)
