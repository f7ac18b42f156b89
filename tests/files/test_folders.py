"""The server's private folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cog.files.folders import RuntimeFolder

HOLD = """
import sys
from cog.files.folders import RuntimeFolder
with RuntimeFolder(sys.argv[1]) as folder:
    open(folder.path + "/left", "w").close()
    print(folder.path, flush=True)
    sys.stdin.read()
"""


def test_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with RuntimeFolder(str(tmp_path)) as folder:
        assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
        assert os.path.dirname(folder.path) == str(tmp_path)
        one = folder.folder(1)
        assert not os.path.exists(one)
        assert one != folder.folder(2)
        os.mkdir(one)
    assert os.listdir(tmp_path) == []
    with pytest.raises(RuntimeError):
        _ = folder.path


def test_the_systems_folder_for_temporary_files_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with RuntimeFolder() as folder:
        assert Path(folder.path).parent == tmp_path


def test_only_folders_of_dead_servers_are_removed(tmp_path: Path) -> None:
    """J6: two servers share nothing, and what a killed one leaves does not stay for ever."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as alive,
    ):
        assert killed.stdout is not None
        assert alive.stdout is not None
        left = Path(killed.stdout.readline().strip())
        held = Path(alive.stdout.readline().strip())
        (tmp_path / "cog-new-young").mkdir()
        (tmp_path / "cog-new-old").mkdir()
        os.utime(tmp_path / "cog-new-old", (0, 0))
        (tmp_path / "cog-run-file").write_text("not a folder")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "kept").touch()
        (tmp_path / "cog-run-link").symlink_to("elsewhere")
        with RuntimeFolder(str(tmp_path)):
            assert (left / "left").exists()
        killed.kill()
        killed.wait()
        assert left.exists()
        with RuntimeFolder(str(tmp_path)) as folder:
            names = {
                Path(folder.path).name,
                held.name,
                "cog-new-young",
                "cog-run-file",
                "cog-run-link",
                "elsewhere",
            }
            assert {entry.name for entry in tmp_path.iterdir()} == names
            assert (held / "left").exists()
            assert (tmp_path / "elsewhere" / "kept").exists()
        alive.communicate("")
    assert not held.exists()


def test_remove_copes_with_what_models_do(tmp_path: Path) -> None:
    with RuntimeFolder(str(tmp_path)) as folder:
        place = Path(folder.folder(1))
        (place / "a" / "b").mkdir(parents=True)
        (place / "a" / "b" / "c").touch()
        (place / "dangling").symlink_to("nowhere")
        (place / "a" / "b").chmod(0)
        (place / "a").chmod(0o500)
        place.chmod(0)
        folder.remove(str(place))
        assert not place.exists()
        folder.remove(str(place))


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    with RuntimeFolder(str(tmp_path)) as folder:
        place = Path(folder.folder(1))
        place.mkdir()
        (place / "link").symlink_to(tmp_path / "kept")
    assert (tmp_path / "kept" / "file").exists()
