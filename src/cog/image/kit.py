"""What an image gets of cog: the server for its own environment, and the SDK for the model's Python, as two wheels.

Both are made of the files of the cog that builds, unless another is named (`origin.py`): so the image has exactly the version
that checked the project, be it a release, a branch or a patch of somebody's own, and no registry is asked for it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cog.errors import EnvironmentFailed
from cog.image import origin
from cog.image.origin import NAME, Origin

CONSTRAINTS: Final = "constraints.txt"
OVERRIDES: Final = "overrides.txt"

# Rooms and packages of the command line, which an image has no use for.
_WORKSHOP: Final = ("bench", "cli", "client", "doctor", "environment", "image", "outline")
_THEIRS: Final = ("click", "uv")
_EXTRA: Final = re.compile(r"\bextra ==")
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_WRITTEN: Final = (1980, 1, 2, 0, 0, 0)  # the same files give the same wheel


@dataclass(frozen=True, slots=True)
class Kit:
    """The files of the kit, by path. `digest` changes when one of them does; `uv` is the version that installs them.

    `cog` is the version of cog that they make, and `source` says where that comes from.
    """

    files: Mapping[str, bytes]
    digest: str
    uv: str
    cog: str
    source: str


def make(environ: Mapping[str, str]) -> Kit:
    """The kit of the cog that COG_SDK_WHEEL names, else of the one that runs.

    Raises:
        UsageError: what is named is none.
        EnvironmentFailed: the one that runs is not installed, so nobody knows what it needs.
    """
    try:
        found = origin.find(environ)
        needed = _requirements(found.requires)
        pinned = sorted(f"{name}=={version}" for name, version in _pins(needed).items())
        uv = importlib.metadata.version("uv")
    except importlib.metadata.PackageNotFoundError as error:
        raise EnvironmentFailed(
            f"The package {error.name} is not installed beside cog, so what a server needs cannot be put into an image. "
            "Install cog with pip or uv; a bare copy of its source is not enough."
        ) from None
    files = {
        server_wheel(found.version): _wheel(_server(found), found.version, needed),
        sdk_wheel(found.version): _wheel(_sdk(found), found.version, ()),
        CONSTRAINTS: "".join(f"{line}\n" for line in pinned).encode(),
        OVERRIDES: f'{NAME} ; sys_platform == "never"\ncoglet ; sys_platform == "never"\n'.encode(),
    }
    return Kit(files, digest(files), uv, found.version, found.name)


def server_wheel(version: str) -> str:
    """Where in the kit the wheel of the server lies."""
    return f"server/{NAME}-{version}-py3-none-any.whl"


def sdk_wheel(version: str) -> str:
    """Where in the kit the wheel of the SDK lies."""
    return f"sdk/{NAME}-{version}-py3-none-any.whl"


def digest(files: Mapping[str, bytes]) -> str:
    """12 characters that tell these files from others."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return total.hexdigest()[:12]


def _requirements(listed: Sequence[str]) -> list[str]:
    """What a server needs, of all that the metadata of a cog lists."""
    return [line for line in listed if not _EXTRA.search(line) and _name(line) not in _THEIRS]


def _pins(needed: Sequence[str]) -> dict[str, str]:
    """The versions to install: those that the cog which runs has, unless another cog needs others."""
    own = _requirements(importlib.metadata.requires(NAME) or ())
    return closure(needed) if sorted(own) == sorted(needed) else {}


def closure(needed: Sequence[str]) -> dict[str, str]:
    """The installed version of everything that `needed` leads to: a server is run with what it was tried with.

    Packages that are not installed are needed by other systems only; local versions (`1.0+mine`) are in no registry.
    """
    found: dict[str, str] = {}
    waiting = list(needed)
    while waiting:
        name = _name(waiting.pop())
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in found and "+" not in package.version:
            found[name] = package.version
            waiting += [line for line in package.requires or [] if not _EXTRA.search(line)]
    return found


def _name(requirement: str) -> str:
    match = _REQUIREMENT.match(requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match is not None else ""


def _server(found: Origin) -> dict[str, bytes]:
    return {
        f"{NAME}/{name}": content
        for name, content in found.files.items()
        if name.partition("/")[0] not in _WORKSHOP
    }


def _sdk(found: Origin) -> dict[str, bytes]:
    files = {f"{NAME}/{name}": content for name, content in origin.sdk(found.files).items()}
    about = b'"""Where `python -m cog.server.http` is found: the server itself has an environment of its own."""\n'
    return {
        **files,
        f"{NAME}/server/__init__.py": about,
        f"{NAME}/server/http.py": found.files[origin.HANDOVER],
    }


def _wheel(files: Mapping[str, bytes], version: str, needed: Sequence[str]) -> bytes:
    """A wheel (packaging.python.org, "Binary distribution format") of pure Python."""
    place = f"{NAME}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\nRequires-Python: >=3.10"]
    metadata += [f"Requires-Dist: {line}" for line in needed]
    held = {
        **files,
        f"{place}/METADATA": "\n".join([*metadata, ""]).encode(),
        f"{place}/WHEEL": b"Wheel-Version: 1.0\nGenerator: cog\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{name},sha256={_hash(held[name])},{len(held[name])}" for name in sorted(held)]
    held[f"{place}/RECORD"] = "\n".join([*record, f"{place}/RECORD,,", ""]).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(held):
            about = zipfile.ZipInfo(name, _WRITTEN)
            about.external_attr = 0o644 << 16
            about.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(about, held[name])
    return written.getvalue()


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
