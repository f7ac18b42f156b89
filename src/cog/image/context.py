"""The files that an engine is given to build an image of, in a folder that is gone afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cog.config.parse import NAME
from cog.errors import UsageError
from cog.image import archive, authority, installer
from cog.image.draft import Draft, kit_folder, packages_folder
from cog.image.files import Entry
from cog.image.plan import CERTIFICATE, CERTIFICATES, SOURCE, SOURCE_ARCHIVE, WEIGHTS_ARCHIVE, uv_folder

PLACE: Final = (".cog", "build")
_KEPT: Final = "weights-"


@dataclass(frozen=True, slots=True)
class Context:
    """What is there: the folder, the Dockerfile beside it, and secrets as `--secret` takes them."""

    folder: Path
    dockerfile: Path
    secrets: tuple[str, ...]


@contextlib.contextmanager
def staged(draft: Draft, environ: Mapping[str, str]) -> Iterator[Context]:
    """Everything that `draft` names, for the time of the block.

    Raises:
        UsageError: a file cannot be read, or nothing can be written.
    """
    time = archive.epoch(environ)
    with _temporary(draft.folder) as place:
        context = place / "context"
        context.mkdir()
        dockerfile = place / "Dockerfile"
        dockerfile.write_text(draft.dockerfile, encoding="utf-8")
        _write(context / kit_folder(draft.kit), draft.kit.files)
        if draft.uv is not None:
            installer.lend(draft.uv, context / uv_folder(draft.kit.uv))
        if draft.packages.name is not None:
            _write(context / packages_folder(draft.packages), draft.packages.files)
        root = SOURCE.strip("/")
        if draft.weights:
            os.link(_weights(draft, root, time), context / WEIGHTS_ARCHIVE)
        if draft.source or draft.weights:
            archive.write(context / SOURCE_ARCHIVE, root, draft.source, time, _configuration(draft))
        yield Context(context, dockerfile, _secrets(place, draft.certificates))


@contextlib.contextmanager
def single(
    folder: Path, files: Mapping[str, bytes], dockerfile: str, environ: Mapping[str, str]
) -> Iterator[Context]:
    """A context with one archive, `added.tar`, of `files` of the model's folder."""
    with _temporary(folder) as place:
        context = place / "context"
        context.mkdir()
        archive.write(context / "added.tar", SOURCE.strip("/"), (), archive.epoch(environ), files)
        (place / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        yield Context(context, place / "Dockerfile", ())


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    shelf = folder.joinpath(*PLACE)
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(shelf.parent / ".gitignore", "x") as file:
            file.write("*\n")
        made = tempfile.TemporaryDirectory(prefix="context-", dir=shelf)
    except OSError as error:
        raise UsageError(
            f"{shelf} cannot be written: {error.strerror}. What an image is built of is put together there"
        ) from None
    with made as name:
        yield Path(name)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _configuration(draft: Draft) -> dict[str, bytes]:
    """A configuration of another name is cog.yaml in the image, where the server looks for that."""
    path = draft.config.path
    if path is None or path.name == NAME:
        return {}
    return {NAME: path.read_bytes()}


def _weights(draft: Draft, root: str, time: int) -> Path:
    """The archive of the weights: the one of the last build, when no file has changed since."""
    shelf = draft.folder.joinpath(*PLACE)
    kept = shelf / f"{_KEPT}{_stamp(draft.weights, time)}.tar"
    if not kept.exists():
        for old in shelf.glob(f"{_KEPT}*"):
            old.unlink(missing_ok=True)
        fresh = kept.with_suffix(f".{os.getpid()}")
        archive.write(fresh, root, draft.weights, time)
        fresh.replace(kept)
    return kept


def _stamp(entries: Sequence[Entry], time: int) -> str:
    total = hashlib.sha256(str(time).encode())
    for entry in entries:
        total.update(
            f"{entry.path} {entry.size} {entry.changed} {entry.executable} {entry.target}\n".encode()
        )
    return total.hexdigest()[:16]


def _secrets(place: Path, certificates: str | None) -> tuple[str, ...]:
    if certificates is None:
        return ()
    found = {CERTIFICATE: certificates, CERTIFICATES: authority.bundle(certificates)}
    for name, text in found.items():
        (place / name).write_text(text)
    return tuple(f"id={name},src={place / name}" for name in found)
