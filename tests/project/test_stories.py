"""The pages do what they say: every example is executed, every file and output on them is what it is said to be."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cog.config.parse import load
from project.stories import DOCS, ROOT, Block, Story, blocks, connects, is_file, matches, story
from support.serving import DEADLINE, until

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
# These are told from beginning to end by somebody who types what stands there.
TOLD = [path for path in PAGES if any(block.kind in ("bash", "console") for block in blocks(path))]
EXAMPLE = {"http.md": "hello"}  # which model serves at port 5000 where the page does not write its own


def test_there_are_stories() -> None:
    assert len(TOLD) >= 10


@pytest.mark.parametrize(
    "page",
    [path for path in TOLD if path.name not in ("proxy.md", "containers.md")],
    ids=lambda path: path.name,
)
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    with story(tmp_path / "model") as reader:
        if page.name in EXAMPLE:
            reader.folder = Path(shutil.copytree(ROOT / "examples" / EXAMPLE[page.name], tmp_path / "copy"))
            reader.begin("python -m cog.server.http --host 127.0.0.1")
        reader.play(blocks(page))


def test_the_proxy_does_what_it_says(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("there is no nginx")
    page = blocks(DOCS / "proxy.md")
    typed = next(index for index, block in enumerate(page) if block.kind == "bash" and not block.title)
    with story(tmp_path / "model") as reader:
        reader.play(page[:typed])
        with proxying(nginx, reader):
            reader.play(page[typed:])


@contextlib.contextmanager
def proxying(nginx: str, reader: Story) -> Iterator[None]:
    """nginx with the file model.conf of the page."""
    folder = reader.folder.parent / "nginx"
    folder.mkdir()
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places} include {reader.folder}/model.conf; }}\n"
    )
    process = subprocess.Popen(
        [nginx, "-e", "stderr", "-p", str(folder), "-c", f"{folder}/nginx.conf"], stderr=subprocess.PIPE
    )
    try:
        until(lambda: connects(reader.ports["8080"]) or process.poll() is not None, bool)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_block_says_what_it_is(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        check(block, page.name, tmp_path)
    fences = re.findall(r"^ *```\w*", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page)), "a block that is not understood"


def check(block: Block, page: str, folder: Path) -> None:
    """Fail for a block of which nobody could tell whether it is right."""
    where = f"{page}:{block.line}"
    if block.kind == "python":
        ast.parse(block.text, where)
    elif block.kind == "yaml" and block.title in ("", "cog.yaml"):
        (folder / "cog.yaml").write_text(block.text, encoding="utf-8")
        load(folder / "cog.yaml", check_files=False)
    elif block.kind == "json":
        json.loads(block.text)
    elif block.kind == "sh":  # what takes minutes is not executed, but it is there
        for target in re.findall(r"^make (\S+)", block.text, re.MULTILINE):
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), where
        assert all(line.startswith("make ") for line in block.text.splitlines()), where
    else:
        known = (
            block.kind in ("bash", "console")
            or block.title in ("Output", "Messages", "Usage")
            or is_file(block)
        )
        assert known, f"{where}: neither commands nor a file nor output"


@pytest.mark.parametrize(
    ("wanted", "seen", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n...\nb\n", "a\nx\ny\nb\n", True),
        ("a\n...\nb\n", "a\nb\n", True),
        ("...\nb\n", "x\nb", True),
        ("a\nb\n", "a\nx\nb\n", False),
        ("a\n...\nb\n", "a\nbc\n", False),
        ("took 1.5 s\n", "took 0.25 s\n", True),
        ("took 1.5 s\n", "took long\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_counts_as_equal(wanted: str, seen: str, same: bool) -> None:
    assert matches(wanted, seen) == same
