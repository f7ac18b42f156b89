"""Which changes of files are seen, and as how many."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cog.server.reload import SourceWatch

DEADLINE = 10.0


@contextmanager
def watched(folder: Path, *others: Path) -> Iterator[Callable[[], set[str]]]:
    """What gives the next change, as the names of its files."""
    changes: queue.Queue[list[Path]] = queue.Queue()
    with SourceWatch(folder, others, changes.put):
        yield lambda: {str(path.relative_to(folder)) for path in changes.get(timeout=DEADLINE)}
        assert changes.empty()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "run.py").write_text("one = 1\n")
    (tmp_path / "inner" / "part.py").write_text("two = 2\n")
    return tmp_path


def save_in_place(path: Path) -> None:
    path.write_text("three = 3\n")


def save_by_renaming(path: Path) -> None:
    """Also with the time and the size of the old one, as a version control may do it."""
    facts = path.stat()
    part = path.with_suffix(".tmp")
    part.write_text(path.read_text().upper())
    os.utime(part, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.replace(part, path)


def save_by_removing(path: Path) -> None:
    path.unlink()
    path.write_text("one = 1\n")


def set_back(path: Path) -> None:
    """To an older version."""
    path.write_text("one = 0\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.mark.parametrize("save", [save_in_place, save_by_renaming, save_by_removing, set_back, Path.unlink])
@pytest.mark.parametrize("name", ["run.py", "inner/part.py"])
def test_a_changed_file_is_seen_however_it_is_written(
    folder: Path, save: Callable[[Path], None], name: str
) -> None:
    with watched(folder) as change:
        save(folder / name)
        assert change() == {name}


def test_new_files_and_folders_are_seen(folder: Path) -> None:
    with watched(folder) as change:
        (folder / "new.py").touch()
        assert change() == {"new.py"}
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "part.py").touch()
        assert change() == {"deep/er/part.py"}
        shutil.rmtree(folder / "deep")
        assert change() == {"deep/er/part.py"}


def test_many_changes_in_a_row_are_one(folder: Path) -> None:
    names = {f"part{number}.py" for number in range(200)}
    with watched(folder) as change:
        for name in sorted(names):
            (folder / name).write_text(name)
        seen = change()
        while seen != names:  # a look may fall between two of them on a slow machine: then they are two
            seen |= change()


def test_a_checkout_is_one_change(folder: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=me", "-c", "user.email=me@example.com", *words],
            cwd=folder,
            check=True,
            capture_output=True,
        )

    if shutil.which("git") is None:
        pytest.skip("needs git")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "other")
    for name in ("run.py", "inner/part.py", "third.py"):
        (folder / name).write_text("other = 1\n")
    git("add", ".")
    git("commit", "-m", "two")
    with watched(folder) as change:
        git("checkout", "-")
        assert change() == {"run.py", "inner/part.py", "third.py"}
        git("checkout", "other")
        assert change() == {"run.py", "inner/part.py", "third.py"}


IGNORED = (
    ".git/hooks/a.py",
    ".cog/env/b.py",
    "__pycache__/c.py",
    "node_modules/d/e.py",
    "venv/lib/f.py",
    "target/site-packages/g.py",
    "weights.safetensors",
    "notes.txt",
    ".hidden.py",
    "linked/h.py",
)


def test_what_is_no_source_of_the_model_is_not_looked_at(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is seen after it is the next change of the source alone."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "linked").symlink_to(elsewhere)
    for name in IGNORED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "venv" / "pyvenv.cfg").touch()
    with watched(folder) as change:
        for name in IGNORED:
            (folder / name).write_text("changed = True\n")
        (folder / ".#run.py").symlink_to("nobody@nowhere.1")  # as Emacs marks what it edits
        (folder / "dangling.py").symlink_to("nowhere.py")
        (folder / "run.py").write_text("one = 11\n")
        assert change() == {"run.py"}


def test_files_that_are_named_are_seen_whatever_they_are(folder: Path) -> None:
    with watched(folder, folder / "cog.yaml") as change:
        (folder / "cog.yaml").touch()
        assert change() == {"cog.yaml"}
        (folder / "cog.yaml").unlink()
        assert change() == {"cog.yaml"}


def test_a_folder_that_is_gone_for_a_while_is_no_end(folder: Path) -> None:
    with watched(folder) as change:
        away = folder.with_name(f"{folder.name}.away")
        folder.rename(away)
        assert change() == {"run.py", "inner/part.py"}
        away.rename(folder)
        assert change() == {"run.py", "inner/part.py"}
