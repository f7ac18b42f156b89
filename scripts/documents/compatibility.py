"""Whether docs/compatibility.md has a row for each public thing, and a test for each row.

A section of the page is a heading and one table. The cell on the left names what the row is of, in backticks; that of a command
and its flags is in two cells. The cell on the right names the tests. Both are read as they stand, so the page is
written by hand and this says where it is wrong.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from scripts.documents import mentions, settings

import cog
from cog.cli.main import ENTRIES
from cog.cli.main import cog as group
from cog.config.keys import KEYS
from cog.settings import OPTIONS

PAGE: Final = "docs/compatibility.md"
DIFFERENCES: Final = "Differences"
ROUTES: Final = "Routes"
SERVER: Final = "Options of the server"
VARIABLES: Final = "Other variables"
COMMANDS: Final = "Commands"
CONFIG: Final = "cog.yaml"
NAMES: Final = "Python"
DEFECTS: Final = "Defects of the reference"
# The list of what was found wrong in Cog 0.23.1 ends with J46; the numbers are those of the docs and the tests.
NUMBERS: Final = tuple(f"J{number}" for number in range(1, 47))
# Modules beside the packages of src/cog that no model imports.
OURS: Final = frozenset(("__init__", "bundle", "version"))

_WORD: Final = re.compile(r"`([^`]+)`")
_TEST: Final = re.compile(r"tests/[\w./-]+")
_NUMBER: Final = re.compile(r"J\d+")
_BAR: Final = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the things on its left, the words in backticks on its right, and its line, counted from 1."""

    section: str
    things: tuple[str, ...]
    tests: tuple[str, ...]
    line: int


def problems(root: Path) -> Iterator[str]:
    """What is wrong with the page of the project in `root`."""
    path = root / PAGE
    if not path.is_file():
        yield f"{PAGE} is not there"
        return
    found = rows(path.read_text(encoding="utf-8"))
    for text in itertools.chain(against(found, public()), untested(found, root)):
        yield f"{PAGE}{text}"


def rows(text: str) -> list[Row]:
    """The rows of all tables of a page, under their headings of the second level."""
    found: list[Row] = []
    section, below_rule = "", False
    for line, each in enumerate(text.splitlines(), 1):
        if each.startswith("## "):
            section, below_rule = each[3:].strip(), False
        elif not each.startswith("|"):
            below_rule = False
        elif set(each) <= set("|-: "):
            below_rule = True
        elif below_rule:
            found.append(_row(section, line, [cell.strip() for cell in _BAR.split(each.strip())[1:-1]]))
    return found


def _row(section: str, line: int, cells: list[str]) -> Row:
    things: tuple[str, ...] = ()
    if section == COMMANDS:
        things = _product(_WORD.findall(cells[0]), _WORD.findall(cells[1]))
    elif section == DEFECTS:
        things = tuple(_NUMBER.findall(cells[0]))
    elif section != DIFFERENCES:
        things = tuple(_WORD.findall(cells[0]))
    return Row(section, things, tuple(_WORD.findall(cells[-1])), line)


def _product(commands: list[str], flags: list[str]) -> tuple[str, ...]:
    """`cog run --json` for each command and flag; the command alone where there is no flag."""
    return tuple(f"{command} {flag}".strip() for command in commands for flag in flags or [""])


@functools.cache
def public() -> Mapping[str, frozenset[str]]:
    """What must have a row, by section, from where the code says it."""
    options = {name for option in OPTIONS for name in (option.flag, option.variable) if name is not None}
    return {
        ROUTES: frozenset(mentions.routes()),
        SERVER: frozenset(options),
        VARIABLES: frozenset((mentions.variables() | set(settings.OTHERS)) - options),
        COMMANDS: frozenset(_commands()),
        CONFIG: frozenset(key.path for key in KEYS),
        NAMES: frozenset(_names()),
        DEFECTS: frozenset(NUMBERS),
    }


def _commands() -> Iterator[str]:
    """Each command, and each spelling of its flags behind its name. The flags that all have are those of `cog`."""
    everywhere = {flag for flag in _flags(group) if flag != "--version"}
    yield "cog"
    yield from (f"cog {flag}" for flag in _flags(group))
    for name, entry in ENTRIES.items():
        yield f"cog {name}"
        command: click.Command = importlib.import_module(entry.module).command
        yield from (f"cog {name} {flag}" for flag in _flags(command) if flag not in everywhere)


def _flags(command: click.Command) -> list[str]:
    return [
        flag
        for option in command.params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    ]


def _names() -> Iterator[str]:
    """The names of `cog`, and the modules that can be imported beside it, old places among them."""
    yield from (f"cog.{name}" for name in cog.__all__)
    for path in mentions.SOURCE.glob("*.py"):
        if path.stem not in OURS and not path.stem.startswith("_"):
            yield f"cog.{path.stem}"


def against(found: Collection[Row], things: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What lacks a row, what has two, and rows of what is not there."""
    for section, wanted in things.items():
        counted = Counter(thing for row in found if row.section == section for thing in row.things)
        for thing in sorted(set(wanted) - set(counted), key=_order):
            yield f": `{thing}` has no row under {section!r}"
        for row in found:
            for thing in row.things if row.section == section else ():
                if thing not in wanted:
                    yield f":{row.line}: there is no `{thing}`, but it has a row"
                elif counted[thing] > 1:
                    yield f":{row.line}: `{thing}` has {counted[thing]} rows"


def _order(thing: str) -> tuple[str, int]:
    """J2 comes before J10."""
    name, number = re.fullmatch(r"(.*?)(\d*)", thing, re.DOTALL).groups()  # type: ignore[union-attr]
    return name, int(number or 0)


def untested(found: Collection[Row], root: Path) -> Iterator[str]:
    """Rows without a test, and those whose test is not there. A defect has one that bears its number.

    The table of differences may name files; every other names functions.
    """
    for row in found:
        if not row.tests:
            yield f":{row.line}: a row without a test"
        for test in row.tests:
            fault = _fault(test, root, of_file=row.section == DIFFERENCES)
            if fault is not None:
                yield f":{row.line}: {fault}"
        if row.section == DEFECTS:
            for thing in row.things:
                if not any(f"::test_{thing.lower()}_" in test for test in row.tests):
                    yield f":{row.line}: no test of {thing} bears its number: `test_{thing.lower()}_...`"


def _fault(test: str, root: Path, *, of_file: bool) -> str | None:
    """What is wrong with the name of a test; None for nothing."""
    name, colons, function = test.partition("::")
    path = root / name
    if not _TEST.fullmatch(name):
        return f"`{test}` is no test: write tests/FOLDER/test_FILE.py::test_NAME"
    if not path.exists():
        return f"there is no {name}"
    if not colons:
        return None if of_file else f"`{test}` names no test: write {name}::test_NAME"
    if function not in _tests(path):
        return f"{name} has no test called {function}"
    return None


@functools.cache
def _tests(path: Path) -> frozenset[str]:
    """The tests of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )
