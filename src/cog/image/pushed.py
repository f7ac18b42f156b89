"""What a push has put where, for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cog.image import names
from cog.image.layers import Layer, shown

# Replicate's registry, and where a browser shows what is in it.
REPLICATE: Final = "r8.im"
API: Final = "COG_REGISTRY_API"  # whose tokens are taken by what COG_REGISTRY_HOST names
_PAGES: Final = "https://replicate.com"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PRINTED: Final = re.compile(rf"digest: ({_DIGEST.pattern})")


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of a tree, and those below it."""

    text: str
    below: tuple[Branch, ...] = ()


def digest(written: str, printed: Sequence[str]) -> str | None:
    """The digest that the registry knows an image by: what the engine has `written` into a file, or `printed`."""
    if (match := _DIGEST.fullmatch(written.strip())) is not None:
        return match[0]
    found = [match[1] for line in printed if (match := _PRINTED.search(line)) is not None]
    return found[-1] if found else None


def tree(image: str, known_as: str | None, labels: Mapping[str, str], layers: Sequence[Layer]) -> str:
    """The repository, its tag, and what that is now: digest, labels of this push, layers. What is not known is left out."""
    repository, tag = names.parts(image)
    width = max((len(shown(layer.size)) for layer in layers), default=0)
    rows = tuple(Branch(f"{shown(layer.size):>{width}}  {layer.why}") for layer in layers)
    below = [] if known_as is None else [Branch(known_as)]
    below += [Branch(f"{name} {value}") for name, value in labels.items()]
    below += [Branch("layers, before they are compressed", rows)] if rows else []
    return "\n".join([repository, *_drawn((Branch(tag, tuple(below)),))])


def _drawn(branches: Sequence[Branch]) -> Iterator[str]:
    for at, branch in enumerate(branches):
        last = at == len(branches) - 1
        yield f"{'└── ' if last else '├── '}{branch.text}"
        yield from (f"{'    ' if last else '│   '}{line}" for line in _drawn(branch.below))


def replicates(host: str, environ: Mapping[str, str]) -> bool:
    """Whether it is Replicate's registry, or stands in its place for those who say which API goes with it: passwords for other
    registries are not shown to Replicate, nor are its pages theirs."""
    return host == REPLICATE or (host == environ.get("COG_REGISTRY_HOST") and bool(environ.get(API)))


def page(image: str, environ: Mapping[str, str]) -> str | None:
    """Where a browser shows a model of Replicate's registry; None for an image that is elsewhere."""
    repository, _ = names.parts(image)
    host, _, path = repository.partition("/")
    return f"{_PAGES}/{path}" if replicates(host, environ) and path.count("/") == 1 else None
