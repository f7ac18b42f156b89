"""What is told of a model's inputs, and completed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cog.client.inputs import complete_names, live_properties, render_help
from cog.outline.reading import read
from cog.schema.openapi import document
from support.sources import both

SOURCE = """
from typing import Any, Optional
import elsewhere_in_the_model as other
from cog import BaseRunner, Input, Path, Secret
class Runner(BaseRunner):
    def run(
        self,
        prompt: str = Input(description="Text to\\n continue", min_length=1),
        image: Path = Input(description="The photo"),
        steps: int = Input(default=20, ge=1, le=50),
        style: str = Input(default="plain", choices=["plain", "bold"]),
        scale: float = Input(default=1, ge=0),
        fast: bool = Input(default=False, deprecated=True),
        photos: list[Path] = None,
        tags: list[str] = ["a"],
        key: Optional[Secret] = None,
        extra: Any = None,
        either: str | int = 5,
        options: dict = {},
        size: other.Size = 3,
    ) -> str: ...
"""
ROWS = [
    ("prompt=TEXT", "text, not empty, required. Text to continue"),
    ("image=@FILE", "file, required. The photo"),
    ("steps=N", "whole number 1 to 50, default: 20"),
    ("style=CHOICE", "one of: plain, bold, default: plain"),
    ("scale=N", "number, 0 or more, default: 1"),
    ("fast=true|false", "true or false, default: false, deprecated"),
    ("photos=@FILE ...", "list of files"),
    ("tags=TEXT ...", 'list of texts, default: ["a"]'),
    ("key=SECRET", "secret"),
    ("extra=VALUE", "anything"),
    ("either=VALUE", "text or whole number, default: 5"),
    ("options=JSON", "JSON object, default: {}"),
    ("size=VALUE", "other.Size, default: 3"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.py").write_text(SOURCE)
    return tmp_path


def test_the_rows_of_a_source(folder: Path) -> None:
    rows = render_help(read(folder, "run.py:Runner"))
    assert rows[:9] + rows[10:] == ROWS[:9] + ROWS[10:]
    assert rows[9] == ("extra=VALUE", "Any")


def test_the_rows_of_a_running_model(tmp_path: Path) -> None:
    source = SOURCE.replace("        size: other.Size = 3,\n", "").replace(
        "import elsewhere_in_the_model as other\n", ""
    )
    _, signature = both(tmp_path, source)
    assert render_help(*live_properties(document(signature))) == ROWS[:-1]


@pytest.mark.parametrize(
    ("incomplete", "found"),
    [
        ("p", ["prompt=", "photos="]),
        ("sty", ["style="]),
        ("style=", ["style=plain", "style=bold"]),
        ("style=b", ["style=bold"]),
        ("style=bold", []),
        ("fast=t", ["fast=true"]),
        ("prompt=x", []),
        ("nothing=", []),
        ("nothing", []),
        ("image=@", ["image=@folder/", "image=@photo.jpg", "image=@run.py"]),
        ("image=@ph", ["image=@photo.jpg"]),
        ("photos=@folder/", ["photos=@folder/inner.png"]),
        ("prompt=@ph", ["prompt=@photo.jpg"]),
        ("image=@nowhere/", []),
        ("image=@.h", ["image=@.hidden"]),
    ],
)
def test_completion(incomplete: str, found: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("photo.jpg", ".hidden", "folder/inner.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    monkeypatch.chdir(folder)
    assert [text for text, _ in complete_names(read(folder, "run.py:Runner"), incomplete)] == found


def test_completion_tells_what_it_is(folder: Path) -> None:
    assert complete_names(read(folder, "run.py:Runner"), "ste") == [
        ("steps=", "whole number 1 to 50, default: 20")
    ]
