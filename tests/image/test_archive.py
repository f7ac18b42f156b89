"""Archives: the same files give the same bytes."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from cog.errors import UsageError
from cog.image import archive
from cog.image.files import entries
from cog.image.ignore import Ignored


def folder(place: Path, order: list[str], time: int) -> Path:
    place.mkdir()
    for name in order:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (time, time))
    (place / order[0]).chmod(0o700)
    (place / "link").symlink_to("a.py")
    return place


def written(place: Path, target: Path, **more: bytes) -> bytes:
    archive.write(target, "src", entries(place, Ignored(())), archive.EPOCH, more)
    return target.read_bytes()


def test_neither_times_nor_the_order_on_disk_count(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", ["a.py", "sub/b.py", "sub/deep/c.py"], 1_000_000_000)
    other = folder(tmp_path / "other", ["a.py", "sub/deep/c.py", "sub/b.py"], 1_500_000_000)
    assert written(one, tmp_path / "one.tar") == written(other, tmp_path / "other.tar")


def test_what_is_in_it(tmp_path: Path) -> None:
    place = folder(tmp_path / "one", ["a.py", "sub/b.py"], 1)
    (place / "empty").mkdir()
    written(place, tmp_path / "one.tar", extra=b"more")
    with tarfile.open(tmp_path / "one.tar") as found:
        members = {member.name: member for member in found}
        assert list(members) == [
            "src",
            "src/a.py",
            "src/empty",
            "src/link",
            "src/sub",
            "src/sub/b.py",
            "src/extra",
        ]
        assert {(each.uid, each.gid, each.mtime) for each in members.values()} == {(0, 0, archive.EPOCH)}
        assert (members["src/a.py"].mode, members["src/sub/b.py"].mode) == (0o755, 0o644)
        assert members["src/link"].linkname == "a.py"
        content = found.extractfile("src/extra")
        assert content is not None
        assert content.read() == b"more"


def test_a_changed_byte_is_another_archive(tmp_path: Path) -> None:
    place = folder(tmp_path / "one", ["a.py"], 1)
    before = written(place, tmp_path / "1.tar")
    (place / "a.py").write_text("a.pY")
    assert written(place, tmp_path / "2.tar") != before


@pytest.mark.parametrize(("given", "time"), [({}, archive.EPOCH), ({"SOURCE_DATE_EPOCH": "5"}, 5)])
def test_the_time_of_every_file(given: dict[str, str], time: int) -> None:
    assert archive.epoch(given) == time


def test_a_time_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH=soon"):
        archive.epoch({"SOURCE_DATE_EPOCH": "soon"})


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    place = folder(tmp_path / "one", ["a.py"], 1)
    found = entries(place, Ignored(()))
    (place / "a.py").unlink()
    with pytest.raises(UsageError, match=r"a\.py cannot be put into the image: No such file"):
        archive.write(tmp_path / "one.tar", "src", found, 1)
