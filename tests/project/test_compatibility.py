"""The check of docs/compatibility.md finds what lacks a row, what is not there any more, and tests that do not exist."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

PAGE = """\
# Compatibility

A table outside of every section:

| what | |
|---|---|
| `nothing` | |

## Differences

| topic | here | shown by |
|---|---|---|
| `words` of any kind | better | `tests/a/test_one.py` |

## Routes

Some text.

| route | shown by |
|---|---|
| `GET /a`, `POST /a` | `tests/a/test_one.py::test_first`, `tests/a/test_one.py::test_later` |

## Commands

| command | flags | shown by |
|---|---|---|
| `cog run` | | `tests/a/test_one.py::test_first` |
| `cog run`, `cog train` | `-i`, `--input` | `tests/a/test_one.py::test_first` |

## Defects of the reference

| | Cog | here | shown by |
|---|---|---|---|
| J2 | `x` \\| y | z | `tests/a/test_one.py::test_j2_is_not_here` |
"""
THINGS = {
    "Routes": {"GET /a", "POST /a"},
    "Commands": {
        "cog run",
        "cog run -i",
        "cog run --input",
        "cog train -i",
        "cog train --input",
    },
    "Defects of the reference": {"J2"},
}
TESTS = """
import pytest

def helper(): ...

def test_first(): ...

@pytest.mark.parametrize("number", [1, 2])
def test_later(number): ...

async def test_j2_is_not_here(): ...

class TestOf:
    def test_inner(self): ...

# def test_in_a_comment(): ...
"""


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module under test."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("scripts.documents.compatibility")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose tests are TESTS."""
    (tmp_path / "tests" / "a").mkdir(parents=True)
    (tmp_path / "tests" / "a" / "test_one.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    return tmp_path


def faults(check: Any, page: str, root: Path) -> list[str]:
    found = check.rows(page)
    return [*check.against(found, THINGS), *check.untested(found, root)]


def test_the_rows_of_a_page(check: Any) -> None:
    found = {row.line: (row.section, row.things, row.tests) for row in check.rows(PAGE)}
    assert found == {
        7: ("", ("nothing",), ()),
        13: ("Differences", (), ("tests/a/test_one.py",)),
        21: (
            "Routes",
            ("GET /a", "POST /a"),
            ("tests/a/test_one.py::test_first", "tests/a/test_one.py::test_later"),
        ),
        27: ("Commands", ("cog run",), ("tests/a/test_one.py::test_first",)),
        28: (
            "Commands",
            ("cog run -i", "cog run --input", "cog train -i", "cog train --input"),
            ("tests/a/test_one.py::test_first",),
        ),
        34: ("Defects of the reference", ("J2",), ("tests/a/test_one.py::test_j2_is_not_here",)),
    }


def test_a_page_in_order(check: Any, root: Path) -> None:
    page = PAGE.replace("| `nothing` | |", "| `nothing` | `tests/a/test_one.py::test_first` |")
    assert faults(check, page, root) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("`GET /a`, `POST /a`", "`GET /a`", ": `POST /a` has no row under 'Routes'"),
        ("`-i`, `--input`", "`--input`", ": `cog train -i` has no row under 'Commands'"),
        ("## Defects of the reference", "## Others", ": `J2` has no row under 'Defects of the reference'"),
        ("`GET /a`,", "`GET /a`, `PUT /a`,", ":21: there is no `PUT /a`, but it has a row"),
        ("| `cog run` | |", "| `cog walk` | |", ":27: there is no `cog walk`, but it has a row"),
        ("| `cog run` | |", "| `cog run` | `-i` |", ":28: `cog run -i` has 2 rows"),
        ("`POST /a`", "`POST /a`, `POST /a`", ":21: `POST /a` has 2 rows"),
        ("| `nothing` | |", "| `nothing` | later |", ":7: a row without a test"),
        ("`tests/a/test_one.py` |", "|", ":13: a row without a test"),
        ("`tests/a/test_one.py` |", "`tests/b/test_one.py` |", ":13: there is no tests/b/test_one.py"),
        (
            "test_one.py::test_later",
            "test_one.py",
            ":21: `tests/a/test_one.py` names no test: write tests/a/test_one.py::test_NAME",
        ),
        (
            "::test_later",
            "::test_in_a_comment",
            ":21: tests/a/test_one.py has no test called test_in_a_comment",
        ),
        ("::test_later", "::test_inner", ":21: tests/a/test_one.py has no test called test_inner"),
        ("::test_later", "::helper", ":21: tests/a/test_one.py has no test called helper"),
        (
            "`tests/a/test_one.py::test_later`",
            "`make soak`",
            ":21: `make soak` is no test: write tests/FOLDER/test_FILE.py::test_NAME",
        ),
        (
            "::test_j2_is_not_here",
            "::test_first",
            ":34: no test of J2 bears its number: `test_j2_...`",
        ),
    ],
)
def test_each_fault_is_told_with_its_line(check: Any, root: Path, old: str, new: str, told: str) -> None:
    assert PAGE.count(old) >= 1
    assert told in faults(check, PAGE.replace(old, new, 1), root)


def test_a_project_without_the_page(check: Any, root: Path) -> None:
    assert list(check.problems(root)) == ["docs/compatibility.md is not there"]


def test_an_empty_page_lacks_everything(check: Any, root: Path) -> None:
    (root / "docs" / "compatibility.md").write_text("# Compatibility\n", encoding="utf-8")
    told = list(check.problems(root))
    for thing in (
        "POST /predictions",
        "--threads",
        "COG_SETUP_TIMEOUT",
        "NO_COLOR",
        "cog run --json",
        "build.gpu",
        "cog.Input",
        "cog.types",
        "J46",
    ):
        assert any(text.startswith(f"docs/compatibility.md: `{thing}` has no row") for text in told), thing
    numbers = [text.split("`")[1] for text in told if "Defects" in text]
    assert numbers == [f"J{number}" for number in range(1, 47)]


def test_what_stands_aside_of_the_rooms_is_public_unless_it_is_ours(check: Any) -> None:
    """A new module beside the packages of src/cog is either an old place of a name, or listed as none."""
    beside = {path.stem for path in (ROOT / "src" / "cog").glob("*.py")}
    assert beside >= check.OURS
    assert {f"cog.{name}" for name in beside - check.OURS} <= check.public()[check.NAMES]
