"""Writes the documents that are made from the code, and checks the links of all of them.

Usage: documents.py [--check]. With --check nothing is written, and the exit status is 1 when one is not
what it would be. It is 1 as well when a link leads nowhere; addresses on the web are not tried.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cog import settings
from cog.prediction import states

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENTS: Final = ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")

STATES_PAGE: Final = """\
# The states of a prediction

Drawn from the table that the server runs on, `src/cog/prediction/states.py`: what is not in it cannot happen.

```mermaid
{picture}
```

- `starting`: accepted; it waits for its input files, a place or a batch.
- `processing`: the model computes. Logs, output and metrics arrive in this state only.
- `succeeded`, `failed`, `canceled`: the end. Nothing changes a prediction any more; what it put out before it
  failed or was canceled is kept.
"""

SETTINGS_PAGE: Final = """\
# Settings of the server

Made from the options of `src/cog/settings.py`. `python -m cog.server.http --help` says the same. Where an
option has a flag and a variable, the flag wins; a variable that is empty counts as not set.

{table}"""

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def settings_page() -> str:
    """The page of flags and environment variables."""
    return SETTINGS_PAGE.format(table=settings.reference_markdown())


def states_page() -> str:
    """The page about the life of a prediction."""
    return STATES_PAGE.format(picture=states.mermaid())


GENERATED: Final[dict[str, Callable[[], str]]] = {
    "docs/settings.md": settings_page,
    "docs/states.md": states_page,
}


def stale(write: bool) -> Iterator[str]:
    """The generated documents that are not what they would be; with `write` they are afterwards."""
    for name, text in GENERATED.items():
        path = ROOT / name
        wanted = text().rstrip("\n") + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") == wanted:
            continue
        if write:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
        else:
            yield f"{name} is not what the code says any more: run `make docs`"


def anchors(text: str) -> set[str]:
    """The anchors that a renderer gives to the headings: lower case, dashes for spaces, no other punctuation.

    A heading that comes again gets a number.
    """
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        repeats = sum(
            each == anchor or re.fullmatch(re.escape(anchor) + r"-\d+", each) is not None for each in found
        )
        found.add(f"{anchor}-{repeats}" if repeats else anchor)
    return found


def dead_links(document: Path) -> Iterator[str]:
    """The links of one document that lead to no file, or to no heading of it."""
    text = document.read_text(encoding="utf-8")
    for link in _LINK.findall(_FENCE.sub("", text)):
        if re.match(r"[a-z][a-z0-9+.\-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        where = document.relative_to(ROOT)
        if not target.exists():
            yield f"{where}: {link} leads to no file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{where}: {link} leads to no heading"


def main(arguments: list[str]) -> int:
    """Write or check; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: documents.py [--check]", file=sys.stderr)
        return 2
    problems = list(stale(write=not arguments))
    documents = sorted({path for pattern in DOCUMENTS for path in ROOT.glob(pattern)})
    problems += [row for document in documents for row in dead_links(document)]
    for row in problems:
        print(row)
    print(f"{len(documents)} documents: {'not ' if problems else ''}in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
