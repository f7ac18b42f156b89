"""The check of the budgets finds what it is there for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "budgets.py"


def check(folder: Path) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    return result.returncode, result.stdout


def package(folder: Path, **files: str) -> Path:
    root = folder / "house"
    root.mkdir()
    (root / "__init__.py").touch()
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    return root


LONG = "def count() -> None:\n" + "    print()\n" * 60
DEEP = """\
def dig() -> None:
    if 1:
        for _ in ():
            while 1:
                with open(""):
                    try:
                        pass
                    finally:
                        pass
"""
ELIF = "def pick(n: int) -> None:\n    if n == 0:\n        pass\n" + "".join(
    f"    elif n == {n}:\n        pass\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n" * 351, "room.py: 351 lines"),
        (LONG, "room.py:1: count has 61 lines"),
        (DEEP, "dig is nested 5 deep"),
        ("def give(a: int, b, *c): ...", "give lacks a type for b, c, return"),
    ],
)
def test_names_what_is_over_budget(tmp_path: Path, text: str, complaint: str) -> None:
    status, output = check(package(tmp_path, room=text))
    assert status == 1
    assert complaint in output


def test_most_functions_are_short(tmp_path: Path) -> None:
    text = "def count() -> None:\n" + "    print()\n" * 25
    status, output = check(package(tmp_path, room=text))
    assert status == 1
    assert "nine functions of ten have up to 26 lines" in output


@pytest.mark.parametrize(
    "text",
    [
        "from house.b import two",
        "import house.b",
        "from house import b",
        "from . import b",
        "from .b import two",
        "def one() -> None:\n    from house.b import two",
    ],
)
def test_finds_a_circle_of_imports(tmp_path: Path, text: str) -> None:
    status, output = check(package(tmp_path, a=text, b="import house.c", c="from house.a import one"))
    assert status == 1
    assert "import cycle: " in output
    assert all(f"house.{name}" in output for name in "abc")


def test_leaves_tidy_code_alone(tmp_path: Path) -> None:
    typing_only = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.a import one"
    status, output = check(
        package(
            tmp_path, a="import house.b", b=typing_only, c=ELIF, d="class D:\n    def f(self) -> None: ..."
        )
    )
    assert (status, output.count("\n")) == (0, 1), output
    assert "within budget" in output


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    assert check(tmp_path)[0] == 2
