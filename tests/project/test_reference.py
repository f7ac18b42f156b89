"""What exists is written about: a flag, a key, a variable, a route or a name without a word in docs/ fails."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest

from cog.cli import main
from cog.config.keys import KEYS
from cog.prediction.states import TABLE
from cog.settings import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def mentions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What looks for them."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("scripts.documents.mentions")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A project of which only the documents are there."""
    shutil.copytree(DOCS, tmp_path / "docs")
    return tmp_path


def test_the_routes_are_those_of_the_server(mentions: Any) -> None:
    found = mentions.routes()
    assert {"POST /predictions", "PUT /predictions/{id}", "POST /predictions/{id}/cancel", "GET /"} <= set(
        found
    )
    assert len(found) >= 12


def test_variables_are_found_in_the_code(mentions: Any) -> None:
    found = mentions.variables()
    assert {
        option.variable
        for option in OPTIONS
        if option.variable is not None and option.variable.startswith("COG_")
    } <= found
    assert {"COG_NO_COLOR", "NO_COLOR", "TMPDIR", "COG_WEIGHTS"} <= found
    assert mentions.INTERNAL.isdisjoint(found)


def test_nothing_is_missing(mentions: Any, copied: Path) -> None:
    assert list(mentions.missing(copied)) == []


def test_the_picture_shows_every_state_and_every_way() -> None:
    picture = ElementTree.parse(DOCS / "states.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    shown = [text.text for text in picture.iter(f"{space}text")]
    assert {state.value for state in TABLE} <= set(shown)
    ways = {(state, target) for state, row in TABLE.items() for targets in row.values() for target in targets}
    assert len(list(picture.iter(f"{space}path"))) == len(ways)


@pytest.mark.parametrize(
    ("page", "words", "told"),
    [
        ("http.md", "POST /shutdown", "docs/http.md says nothing about `POST /shutdown`"),
        ("sdk.md", "URLPath", "docs/sdk.md says nothing about `URLPath`"),
        (
            "settings.md",
            "COG_SKIP_GPU_CHECK",
            "no page of docs says anything about the variable `COG_SKIP_GPU_CHECK`",
        ),
    ],
)
def test_what_is_missing_is_told(mentions: Any, copied: Path, page: str, words: str, told: str) -> None:
    path = copied / "docs" / page
    path.write_text(path.read_text(encoding="utf-8").replace(words, "something"), encoding="utf-8")
    assert told in list(mentions.missing(copied))


def test_every_flag_key_and_option_has_its_row() -> None:
    """Their pages are made from them; this is to notice a generator that forgets some."""
    cli, keys, settings = (
        (DOCS / name).read_text(encoding="utf-8") for name in ("cli.md", "cog-yaml.md", "settings.md")
    )
    for key in KEYS:
        place = keys if not key.parent else keys.split(f"### {key.parent}\n")[1].split("\n### ")[0]
        assert f"| `{key.name}` |" in place, key.path
    for option in OPTIONS:
        assert f"`{option.flag} {option.metavar}`" in settings or f"| `{option.variable}` |" in settings, (
            option.name
        )
    for flag in flags():
        assert re.search(rf"[`\s]{re.escape(flag)}[,`\s]", cli), flag


def flags() -> set[str]:
    """Every flag of every command, hidden ones too."""
    commands: list[click.Command] = [main.cog]
    for name in main.ENTRIES:
        command = main.cog.get_command(click.Context(main.cog), name)
        assert command is not None
        commands.append(command)
    options = [
        option for command in commands for option in command.params if isinstance(option, click.Option)
    ]
    return {flag for option in options for flag in option.opts}
