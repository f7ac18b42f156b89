"""What `setup()` gets for COG_WEIGHTS, by what it declares."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Callable
from typing import Any, Optional

import pytest

from cog import File, Path, URLFile, URLPath
from cog.worker.weights import weights

URL = "https://example.com/weights.tar"
LOCAL = "/opt/weights"


def plain(weights): ...  # type: ignore[no-untyped-def]
def text(weights: str) -> None: ...
def anything(weights: Any) -> None: ...
def either(weights: Path | str | None = None) -> None: ...
def path(weights: Path) -> None: ...
def optional(weights: Optional[Path] = None) -> None: ...  # noqa: UP045
def native(weights: pathlib.Path) -> None: ...
def pathlike(weights: os.PathLike[str]) -> None: ...
def file(weights: File) -> None: ...
def unknown(weights: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("setup", [plain, text, anything, either, unknown])
def test_it_is_the_text_itself(setup: Callable[..., object]) -> None:
    assert [weights(setup, given) for given in (URL, LOCAL, "", None)] == [URL, LOCAL, "", None]


@pytest.mark.parametrize("setup", [path, optional, native, pathlike])
def test_it_is_a_path(setup: Callable[..., object]) -> None:
    """J20. That of a URL is not fetched before the model asks for it."""
    remote, local = weights(setup, URL), weights(setup, LOCAL)
    assert isinstance(remote, URLPath)
    assert isinstance(remote, pathlib.Path)
    assert str(remote) == URL
    assert type(local) is Path
    assert str(local) == LOCAL
    assert weights(setup, None) is None


def test_it_is_an_open_file() -> None:
    opened = weights(file, "data:,content")
    assert isinstance(opened, io.IOBase)
    assert opened.read() == b"content"
    assert isinstance(weights(file, URL), URLFile)
    with pytest.raises(ValueError, match="cannot be opened as a File"):
        weights(file, LOCAL)
