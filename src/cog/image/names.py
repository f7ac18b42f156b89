"""What images are called."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

from cog.config.model import Config
from cog.errors import UsageError

LONGEST: Final = 30  # characters of a name that is made from a folder's [compat]
_REFERENCE: Final = re.compile(
    r"(?:[A-Za-z0-9.\[\]:-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


def of(config: Config, folder: Path, tag: str | None) -> str:
    """The name of a model's image: `tag`, else what cog.yaml says, else one made from the name of its folder.

    Raises:
        UsageError: it is no name.
    """
    chosen = tag or config.image or config.model or generated(folder)
    if _REFERENCE.fullmatch(chosen) is None:
        raise UsageError(
            f"{chosen!r} is no name of an image: write lower-case letters and digits, with . _ - and / between them, and perhaps "
            "a tag, such as registry.example.com/me/model:1"
        )
    return chosen


def parts(image: str) -> tuple[str, str]:
    """The repository of an image, and its tag; without one that is `latest`."""
    named = image.partition("@")[0]
    tag = named.rpartition("/")[2].partition(":")[2]
    return (named.removesuffix(f":{tag}"), tag) if tag else (named, "latest")


def registry(image: str) -> str | None:
    """The host of an image's registry, with its port; None when its name has none. As every engine reads names."""
    host, slash, _ = image.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else None


def generated(folder: Path) -> str:
    """`cog-my-model` for the folder `My model!`."""
    name = re.sub(r"[^a-z0-9-]", "", folder.resolve().name.lower().replace(" ", "-"))
    cut = f"cog-{name}"[:LONGEST].rstrip("-")
    return re.sub(r"-{2,}", "-", cut) if name.strip("-") else "cog-model"


def passing(kind: str) -> str:
    """A name for something that is gone when the command has ended."""
    return f"cog-{kind}-{secrets.token_hex(6)}"
