"""Links between the documents, and the anchors that they may lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


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


def dead_links(document: Path, root: Path) -> Iterator[str]:
    """The links of one document of the project in `root` that lead to no file, or to no heading of it."""
    text = document.read_text(encoding="utf-8")
    for link in _LINK.findall(_FENCE.sub("", text)):
        if re.match(r"[a-z][a-z0-9+.\-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        where = document.relative_to(root)
        if not target.exists():
            yield f"{where}: {link} leads to no file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{where}: {link} leads to no heading"
