"""The check of the documents finds dead links; the page at /docs keeps to what its policy allows."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, looking at the documents of an empty folder."""
    spec = importlib.util.spec_from_file_location("documents", ROOT / "scripts" / "documents.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    return module


def test_writes_what_is_missing_and_notices_what_changed(
    documents: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert documents.main(["--check"]) == 1
    assert "docs/settings.md is not what the code says any more" in capsys.readouterr().out
    assert documents.main([]) == 0
    assert documents.main(["--check"]) == 0
    (tmp_path / "docs" / "states.md").write_text("# Something else\n")
    assert documents.main(["--check"]) == 1
    assert "[*] --> starting" not in (tmp_path / "docs" / "states.md").read_text()


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
    documents: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    link: str,
    complaint: str | None,
) -> None:
    documents.main([])
    capsys.readouterr()
    page = (
        f"# A & B, and `C`\n\n## Twice\n\n## Twice\n\n```\n[not a link](nowhere.md)\n```\n\n[link]({link})\n"
    )
    (tmp_path / "page.md").write_text(page)
    assert documents.main(["--check"]) == (0 if complaint is None else 1)
    assert complaint is None or f"page.md: {link} {complaint}" in capsys.readouterr().out


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
