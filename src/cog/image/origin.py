"""Where the cog of an image comes from: the one that runs, or the wheel that COG_SDK_WHEEL names."""

from __future__ import annotations

import importlib.metadata
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import Parser
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cog import bundle
from cog.errors import UsageError
from cog.version import __version__

NAME: Final = "cog"
VARIABLE: Final = "COG_SDK_WHEEL"
HANDOVER: Final = "image/handover.py"

_PACKAGE: Final = Path(__file__).resolve().parents[1]
# What a server and a model's Python are given; Replicate's wheel of the same name has nothing of it.
_NEEDED: Final = (*bundle.PARTS, "server/http.py", HANDOVER)
_FOLDER: Final = "dist"
_VERSION: Final = re.compile(r"[0-9A-Za-z.+]+", re.ASCII)
_PATIENCE: Final = 30.0  # seconds without a byte
_LONGEST: Final = 64 * 1024 * 1024  # bytes of a wheel
_UNPACKED: Final = 8 * _LONGEST
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Origin:
    """A cog: its version, the files of its package by their path in that, and what it requires, as its metadata has it.

    `name` is what a person calls it.
    """

    name: str
    version: str
    files: Mapping[str, bytes]
    requires: tuple[str, ...]


def find(environ: Mapping[str, str]) -> Origin:
    """The cog that COG_SDK_WHEEL names, else the one that runs.

    Raises:
        UsageError: it names none that an image could have.
        importlib.metadata.PackageNotFoundError: the one that runs is not installed.
    """
    given = environ.get("COG_SDK_WHEEL", "").strip()
    return _running() if not given else _read(given, _content(given))


def _running() -> Origin:
    files = {
        path.relative_to(_PACKAGE).as_posix(): path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    requires = tuple(importlib.metadata.requires(NAME) or ())
    return Origin("the cog that builds it", __version__, files, requires)


def _content(given: str) -> bytes:
    if given == "pypi" or given.startswith("pypi:"):
        raise UsageError(
            f"{VARIABLE}={given}: the cog on PyPI is Replicate's, and the server of an image cannot run a model with that. "
            "Name a wheel of this cog by its path or URL, or leave the variable out: an image gets the cog that builds it"
        )
    try:
        if given.startswith(("http://", "https://")):
            if "@" in urlsplit(given).netloc:
                raise UsageError(
                    f"{VARIABLE}={_shown(given)} has a name and a password in it, which belong nowhere near a log. Download the "
                    "wheel, and name its path"
                )
            with build_opener(_Secure).open(given, timeout=_PATIENCE) as answer:
                content: bytes = answer.read(_LONGEST + 1)
        else:
            path = _newest() if given == _FOLDER else Path(given).expanduser()
            if path.stat().st_size > _LONGEST:
                raise UsageError(f"{VARIABLE}={given}: it is larger than any cog")
            content = path.read_bytes()
    except (OSError, HTTPException, ValueError) as error:
        raise UsageError(
            f"{VARIABLE}={_shown(given)} cannot be read: {error}. Write the path or URL of a wheel; certificates of a network's "
            "own are those of SSL_CERT_FILE"
        ) from None
    if len(content) > _LONGEST:
        raise UsageError(f"{VARIABLE}={_shown(given)}: it is larger than any cog")
    return content


class _Secure(HTTPRedirectHandler):
    """Does not leave https: what is fetched is run."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise URLError(f"it leads from https to {_shown(newurl)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _shown(given: str) -> str:
    """A URL without what may be secret in it."""
    if "://" not in given:
        return given
    parts = urlsplit(given)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _newest() -> Path:
    """The wheel in `dist` of this folder, where build tools put it.

    Raises:
        UsageError: there is not exactly one.
    """
    found = sorted(Path(_FOLDER).glob(f"{NAME}-*.whl"))
    if len(found) != 1:
        listed = f"has {', '.join(path.name for path in found)}" if found else f"has no {NAME}-VERSION-*.whl"
        raise UsageError(
            f"{VARIABLE}={_FOLDER}: {Path(_FOLDER).resolve()} {listed}. Name one wheel by its path"
        )
    return found[0]


def _read(given: str, content: bytes) -> Origin:
    """What a wheel has (packaging.python.org, "Binary distribution format")."""
    shown = _shown(given)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _UNPACKED:
                raise UsageError(f"{VARIABLE}={shown}: it is larger than any cog")
            held = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    except _DAMAGED as error:
        raise UsageError(f"{VARIABLE}={shown} is no wheel: {error}") from None
    about = next((held[name] for name in held if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)), None)
    if about is None:
        raise UsageError(f"{VARIABLE}={shown} is no wheel: it has no METADATA")
    files = {
        name.removeprefix(f"{NAME}/"): held[name] for name in sorted(held) if name.startswith(f"{NAME}/")
    }
    missing = [part for part in _NEEDED if not any(_below(name, part) for name in files)]
    metadata = Parser().parsestr(about.decode("utf-8", "replace"), headersonly=True)
    version = metadata.get("Version", "")
    if missing or _VERSION.fullmatch(version) is None:
        raise UsageError(
            f"{VARIABLE}={shown} is {metadata.get('Name', 'a package')} {version}, and not this project's: it lacks "
            f"{', '.join(missing[:3]) or 'a version'}. The server of an image runs models with its own SDK alone"
        )
    return Origin(f"the cog of {VARIABLE}", version, files, tuple(metadata.get_all("Requires-Dist", ())))


def _below(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}/")


def sdk(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of a package's files that a model's environment gets."""
    return {name: files[name] for name in files if any(_below(name, part) for part in bundle.PARTS)}
