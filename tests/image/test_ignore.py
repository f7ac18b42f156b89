"""What a .dockerignore leaves out, as Docker documents it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import UsageError
from cog.image.files import Entry, entries, ignored
from cog.image.ignore import Ignored


@pytest.mark.parametrize(
    ("lines", "out", "taken"),
    [
        (["*.log"], ["a.log"], ["sub/a.log", "alog", "a.log.txt"]),
        (["**/*.log"], ["a.log", "sub/deep/a.log"], ["a.txt"]),
        (["sub"], ["sub", "sub/a", "sub/deep/b"], ["subs", "other/sub"]),
        (["/sub/"], ["sub", "sub/a"], ["other/sub"]),
        (["*/temp*"], ["one/temp", "one/temporary.txt"], ["temp", "one/two/temp"]),
        (["*/*/temp*"], ["one/two/temp"], ["one/temp"]),
        (["temp?"], ["tempa"], ["temp", "tempab", "temp/"[:-1]]),
        (["[a-c].txt"], ["a.txt", "c.txt"], ["d.txt"]),
        (["[^a].txt"], ["b.txt"], ["a.txt"]),
        (["# a comment", "", "  spaced  "], ["spaced"], ["# a comment"]),
        (["*.md", "!README.md"], ["a.md"], ["README.md"]),
        (["*.md", "!README*.md", "README-secret.md"], ["README-secret.md", "a.md"], ["README-all.md"]),
        (["!README.md", "*.md"], ["README.md"], []),
        (["sub", "!sub/keep"], ["sub/other"], ["sub/keep", "sub/keep/deep"]),
        (["sub/**"], ["sub/a", "sub/b/c"], ["sub"]),
        (["**"], ["a", "a/b"], []),
        (["./a/../b"], ["b"], ["a"]),
        ([r"a\*b"], ["a*b"], ["axb"]),
        (["a.b"], ["a.b"], ["aXb"]),
        ([], [".cog", ".cog/build/x", ".git/HEAD", "deep/__pycache__/a.pyc"], [".gitignore", "cog"]),
        (["!.git"], [".git/HEAD"], []),
    ],
)
def test_patterns(lines: list[str], out: list[str], taken: list[str]) -> None:
    leaving = Ignored(lines)
    assert [path for path in out if path not in leaving] == []
    assert [path for path in taken if path in leaving] == []


WORDS = st.text(st.sampled_from("ab.*?[]!^-\\/ #"), max_size=12)
PATHS = st.lists(st.text(st.sampled_from("ab.-"), min_size=1, max_size=4), min_size=1, max_size=4).map(
    "/".join
)


@given(st.lists(WORDS, max_size=5), PATHS)
def test_no_line_breaks_it_and_folders_take_all_below_along(lines: list[str], path: str) -> None:
    leaving = Ignored(lines)
    if leaving.prunes(path):
        assert path in leaving
        assert f"{path}/below" in leaving


@given(PATHS)
def test_a_plain_path_leaves_out_itself_and_nothing_beside(path: str) -> None:
    leaving = Ignored([path])
    parts = [part for part in path.split("/") if part != "."]
    if ".." not in parts and parts:
        assert "/".join(parts) in leaving
        assert f"{'/'.join(parts)}x" not in leaving or re.search("__pycache__", path)


def test_a_folder_is_walked_for_what_is_taken_in_again(tmp_path: Path) -> None:
    for name in (
        "run.py",
        "data/big.bin",
        "data/keep/a.txt",
        "data/keep/b.txt",
        "empty/.gitignore",
        ".cog/x",
        "tool",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "link").symlink_to("run.py")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".dockerignore").write_text("data\n!data/keep\n**/b.txt\n")
    found = entries(tmp_path, ignored(tmp_path))
    assert [entry.path for entry in found] == [
        ".dockerignore", "data", "data/keep", "data/keep/a.txt", "empty", "empty/.gitignore", "link", "run.py", "tool",
    ]  # fmt: skip
    assert {entry.path for entry in found if entry.executable} == {"tool"}
    assert next(entry for entry in found if entry.path == "link").target == "run.py"
    assert (tmp_path / ".dockerignore").read_text() == "data\n!data/keep\n**/b.txt\n"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        ignored(tmp_path)


@pytest.mark.parametrize(
    ("path", "size", "is_weights"),
    [
        ("model.bin", 10_000_001, True),
        ("model.bin", 10_000_000, False),
        ("weights/small.txt", 1, True),
        ("weights/__init__.py", 1, False),
        ("other/weights/small.txt", 1, False),
        ("run.py", 1, False),
    ],
)
def test_what_counts_as_weights(path: str, size: int, is_weights: bool) -> None:
    assert Entry(path, Path(path), "file", size).is_weights is is_weights
