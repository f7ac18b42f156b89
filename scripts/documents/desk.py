"""Where the documents are written and looked over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from scripts.documents import compatibility, keys, mentions, settings, states, types
from scripts.documents.commands import commands_page
from scripts.documents.links import dead_links

from cog.config import schema

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")

GENERATED: Final[dict[str, Callable[[], str]]] = {
    "docs/cli.md": commands_page,
    "docs/cog-yaml.md": keys.page,
    "docs/cog.schema.json": schema.text,
    "docs/settings.md": settings.page,
    "docs/states.md": states.page,
    "docs/states.svg": states.picture,
    "docs/types.md": types.page,
}


def stale(root: Path, *, write: bool) -> Iterator[str]:
    """The generated documents that are not what they would be; with `write` they are afterwards."""
    for name, text in GENERATED.items():
        path = root / name
        wanted = text().rstrip("\n") + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            continue
        if write:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
        else:
            yield f"{name} is not what the code says any more: run `make docs`"


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write or check the documents of the project in `root`; gives the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m scripts.documents [--check]", file=sys.stderr)
        return 2
    problems = list(stale(root, write=not arguments))
    documents = sorted({path for pattern in DOCUMENTS for path in root.glob(pattern)})
    problems += [row for document in documents for row in dead_links(document, root)]
    problems += mentions.missing(root)
    problems += compatibility.problems(root)
    for row in problems:
        print(row)
    print(f"{len(documents)} documents: {'not ' if problems else ''}in order")
    return 1 if problems else 0
