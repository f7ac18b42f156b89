"""What an image gets of cog: the server for its own environment, and the SDK for the model's Python, as two wheels.

Both are made of the files of the cog that builds: so the image has exactly the version that checked the project, be it a
release, a branch or a patch of somebody's own, and no registry is asked for it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cog import bundle
from cog.errors import EnvironmentFailed
from cog.version import __version__

NAME: Final = "cog"
SERVER_WHEEL: Final = f"server/{NAME}-{__version__}-py3-none-any.whl"
SDK_WHEEL: Final = f"sdk/{NAME}-{__version__}-py3-none-any.whl"
CONSTRAINTS: Final = "constraints.txt"
OVERRIDES: Final = "overrides.txt"

# Rooms and packages of the command line, which an image has no use for.
_WORKSHOP: Final = ("cli", "client", "doctor", "environment", "image", "outline")
_THEIRS: Final = ("click", "uv")
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_HANDOVER: Final = Path(__file__).parent / "handover.py"
_WRITTEN: Final = (1980, 1, 2, 0, 0, 0)  # the same files give the same wheel


@dataclass(frozen=True, slots=True)
class Kit:
    """The files of the kit, by path. `digest` changes when one of them does; `uv` is the version that installs them."""

    files: Mapping[str, bytes]
    digest: str
    uv: str


def make() -> Kit:
    """The kit of the cog that runs.

    Raises:
        EnvironmentFailed: it is not installed, so nobody knows what it needs.
    """
    try:
        needed = requirements()
        pinned = sorted(f"{name}=={version}" for name, version in closure(needed).items())
        uv = importlib.metadata.version("uv")
    except importlib.metadata.PackageNotFoundError as error:
        raise EnvironmentFailed(
            f"The package {error.name} is not installed beside cog, so what a server needs cannot be put into an image. "
            "Install cog with pip or uv; a bare copy of its source is not enough."
        ) from None
    files = {
        SERVER_WHEEL: _wheel(dict(_server()), needed),
        SDK_WHEEL: _wheel(_sdk(), ()),
        CONSTRAINTS: "".join(f"{line}\n" for line in pinned).encode(),
        OVERRIDES: f'{NAME} ; sys_platform == "never"\ncoglet ; sys_platform == "never"\n'.encode(),
    }
    return Kit(files, digest(files), uv)


def digest(files: Mapping[str, bytes]) -> str:
    """12 characters that tell these files from others."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return total.hexdigest()[:12]


def requirements() -> list[str]:
    """What a server needs, as cog's own metadata has it."""
    listed = importlib.metadata.requires(NAME) or []
    return [line for line in listed if "extra ==" not in line and _name(line) not in _THEIRS]


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
            waiting += [line for line in package.requires or [] if "extra ==" not in line]
    return found


def _name(requirement: str) -> str:
    match = _REQUIREMENT.match(requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match is not None else ""


def _server() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*")):
        inside = path.relative_to(package)
        if path.is_file() and "__pycache__" not in inside.parts and inside.parts[0] not in _WORKSHOP:
            yield f"{NAME}/{inside.as_posix()}", path.read_bytes()


def _sdk() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="cog-sdk-") as temporary:
        folder = Path(temporary)
        bundle.install(folder, link=False)
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
    about = b'"""Where `python -m cog.server.http` is found: the server itself has an environment of its own."""\n'
    return {**files, f"{NAME}/server/__init__.py": about, f"{NAME}/server/http.py": _HANDOVER.read_bytes()}


def _wheel(files: Mapping[str, bytes], needed: Sequence[str]) -> bytes:
    """A wheel (packaging.python.org, "Binary distribution format") of pure Python."""
    place = f"{NAME}-{__version__}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {__version__}\nRequires-Python: >=3.10"]
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
