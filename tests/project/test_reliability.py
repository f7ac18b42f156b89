"""docs/reliability.md names tests that exist, and each known defect of the reference has its row and its test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
# J31, J32, J42 and J45 are of training, the command line and metrics, which are to come.
DEFECTS = {*range(1, 31), *range(33, 42), 43, 44, 46}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", PAGE)
    assert len(named) > 80
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, (path, name)


def test_every_defect_has_its_row_and_a_test_of_its_name() -> None:
    assert {int(number) for number in re.findall(r"^\| J(\d+) \|", PAGE, re.MULTILINE)} == DEFECTS
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "defects").glob("test_*.py")
    )
    assert {int(number) for number in re.findall(r"^def test_j(\d+)_", tests, re.MULTILINE)} == DEFECTS
    for number, row in re.findall(r"^\| J(\d+) \|.*\| (.*) \|$", PAGE, re.MULTILINE):
        assert f"::test_j{number}_" in row, number
