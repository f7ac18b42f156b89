"""torch and TensorFlow among a model's requirements: what they say of CUDA, and the wheels that fit it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cog.image import tables

# `torch==2.8.0 ; sys_platform == "linux"`: name, version, and what follows. A version with `+cu128` was chosen by hand.
_PINNED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]+)\s*==\s*(?P<version>[0-9][0-9A-Za-z.+]*)(?P<rest>\s*(?:;.*)?)"
)
_TORCH: Final = ("torch", "torchvision", "torchaudio")
_TENSORFLOW: Final = ("tensorflow", "tensorflow-gpu", "tensorflow[and-cuda]")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Requirements with the wheels that fit the CUDA; `index` is where these are, None when nothing was changed."""

    lines: tuple[str, ...]
    index: str | None = None
    changed: tuple[str, ...] = ()


def torch(lines: Iterable[str]) -> tables.Torch | None:
    """The known release of torch that `lines` ask for, by itself or by one of its companions."""
    for name, version in pins(lines):
        for release in tables.torch():
            if name in _TORCH and release.versions.get(name) == version.partition("+")[0]:
                return release
    return None


def tensorflow(lines: Iterable[str]) -> tables.Tensorflow | None:
    """The known version of TensorFlow that `lines` ask for."""
    for name, version in pins(lines):
        for release in tables.tensorflow():
            if name in _TENSORFLOW and f"{version}.".startswith(f"{release.minor}."):
                return release
    return None


def pins(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Name and version of every requirement that names exactly one."""
    found = (_PINNED.fullmatch(line.strip()) for line in lines)
    return [(match["name"].lower(), match["version"]) for match in found if match is not None]


def fit(lines: Sequence[str], cuda: str | None) -> Fitted:
    """`lines` with torch and its companions as they are made for `cuda`, or for the CPU without one.

    Only exact versions that are known, and for which there are such wheels: everything else stays as it was written. So does
    what PyPI has for this CUDA.
    """
    if (release := torch(lines)) is None:
        return Fitted(tuple(lines))
    wheels = _nearest(release, cuda) if cuda is not None else None
    if cuda is not None and wheels in (None, release.pypi):
        return Fitted(tuple(lines))
    fitted = tuple(_fitted(line, release, tables.variant(wheels)) for line in lines)
    changed = tuple(new for old, new in zip(lines, fitted, strict=True) if old != new)
    return Fitted(fitted, tables.torch_index(wheels) if changed else None, changed)


def _nearest(release: tables.Torch, cuda: str) -> str | None:
    """The newest CUDA with wheels that runs where `cuda` is: the same major version, and not a newer one."""
    wanted = tables.version(cuda)[:2]
    fitting = [each for each in release.cuda if tables.version(each)[0] == wanted[0]]
    return max((each for each in fitting if tables.version(each) <= wanted), key=tables.version, default=None)


def _fitted(line: str, release: tables.Torch, variant: str) -> str:
    match = _PINNED.fullmatch(line.strip())
    if match is None or release.versions.get(match["name"].lower()) != match["version"]:
        return line
    return f"{match['name']}=={match['version']}+{variant}{match['rest']}"
