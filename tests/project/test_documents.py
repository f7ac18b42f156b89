"""The check of the documents finds dead links; the page at /docs keeps to what its policy allows."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The command, looking at the documents of an empty folder."""
    monkeypatch.syspath_prepend(str(ROOT))
    main: Callable[..., int] = importlib.import_module("scripts.documents.desk").main
    (tmp_path / "docs").mkdir()
    return lambda *arguments: main(list(arguments), tmp_path)


def test_writes_what_is_missing_and_notices_what_changed(
    documents: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert documents("--check") == 1
    told = capsys.readouterr().out
    for name in ("settings.md", "states.md", "states.svg", "cli.md", "cog-yaml.md", "cog.schema.json"):
        assert f"docs/{name} is not what the code says any more" in told
    documents()
    assert "is not what the code says" not in capsys.readouterr().out
    documents("--check")
    assert "is not what the code says" not in capsys.readouterr().out
    (tmp_path / "docs" / "states.md").write_text("# Something else\n")
    assert documents("--check") == 1
    assert "docs/states.md is not what the code says" in capsys.readouterr().out
    assert (tmp_path / "docs" / "states.md").read_text() == "# Something else\n"


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("docs/states.md", None),
        ("docs/states.md#the-states-of-a-prediction", None),
        ("docs/states.md#elsewhere", "leads to no heading"),
        ("docs/nothing.md", "leads to no file"),
        ("#a--b-and-c", None),
        ("#twice-1", None),
        ("#twice-2", "leads to no heading"),
        ("https://example.com/whatever", None),
    ],
)
def test_follows_every_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, link: str, complaint: str | None
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "states.md").write_text("# The states of a prediction\n")
    page = tmp_path / "page.md"
    page.write_text(
        f"# A & B, and `C`\n\n## Twice\n\n## Twice\n\n```\n[not a link](nowhere.md)\n```\n\n[link]({link})\n"
    )
    dead = importlib.import_module("scripts.documents.links").dead_links(page, tmp_path)
    assert list(dead) == ([] if complaint is None else [f"page.md: {link} {complaint}"])


def test_refuses_other_arguments(documents: Callable[..., int]) -> None:
    assert documents("--chek") == 2


class Page(HTMLParser):
    """Counts the elements of a page and keeps their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.elements[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_docs_page_needs_nothing_but_itself() -> None:
    text = (ROOT / "src" / "cog" / "server" / "docs.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    # The policy allows one script and one style sheet, by their hashes, and no attribute that does the same.
    assert (page.elements["script"], page.elements["style"]) == (1, 1)
    assert not [name for name, _ in page.attributes if name == "style" or name.startswith("on")]
    loaded = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert not [value for value in loaded if re.match(r"[a-z]+:|/", value) and value != "data:,"]
    assert not re.search(r"@import|url\(", text)
    # What a model puts out must never become markup.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
