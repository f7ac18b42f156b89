"""The types of inputs and outputs that are more than JSON: files and secrets."""

from __future__ import annotations

import io
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final

from cog.sdk import download

if TYPE_CHECKING:
    from typing_extensions import Self

if sys.platform == "win32":
    _Native = pathlib.WindowsPath
else:
    _Native = pathlib.PosixPath

MASK: Final = "*" * 10


def _pydantic_schema(validate: Callable[[Any], object]) -> dict[str, object]:
    # Pydantic 2 asks a class for this; its schemas are plain dicts, so nothing of it has to be imported.
    return {"type": "function-plain", "function": {"type": "no-info", "function": validate}}


class Path(_Native):
    """A file. As an input it lies on the local disk before `run()` is called; as an output it is sent to the
    client."""

    @classmethod
    def validate(cls, value: str | os.PathLike[str]) -> Path | URLPath:
        """The file that `value` names: a URL (http, https or data) that is fetched by `convert()`, or a
        local path."""
        if isinstance(value, (Path, URLPath)):
            return value
        text = os.fspath(value)
        if download.is_url(text):
            return URLPath(source=text, filename=download.filename(text))
        return cls(text)

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], object]]:  # Pydantic 1
        yield cls.validate

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, object]:
        return _pydantic_schema(cls.validate)


class URLPath(_Native):
    """A file that is still at its URL: `convert()` brings it here, `str()` is the URL."""

    def __new__(cls, *, source: str, filename: str, fileobj: IO[bytes] | None = None) -> Self:
        """`filename` is what the local file will be called at the end; `fileobj`, if any, gives its
        content."""
        if sys.version_info >= (3, 12):  # pathlib moved from __new__ to __init__
            return super().__new__(cls)
        return super().__new__(cls, filename)

    def __init__(self, *, source: str, filename: str, fileobj: IO[bytes] | None = None) -> None:
        """See `__new__`."""
        if sys.version_info >= (3, 12):
            super().__init__(filename)
        self.source = source
        self.filename = filename
        self.fileobj = fileobj
        self._local: Path | None = None

    if sys.version_info >= (3, 12):

        def with_segments(self, *segments: str | os.PathLike[str]) -> Path:
            """What is derived from a URLPath (`.parent`, `/`) is an ordinary path."""
            return Path(*segments)
    else:

        @classmethod
        def _from_parsed_parts(cls, drv: str, root: str, parts: list[str]) -> Path:
            made: Path = Path._from_parsed_parts(drv, root, parts)  # type: ignore[attr-defined]
            return made

    def convert(self) -> Path:
        """Download the file, the first time this is called, into the folder for temporary files.

        Raises:
            OSError: it cannot be had (`urllib.error.URLError` is one).
            ValueError: the source is a data URL that cannot be decoded.
        """
        if self._local is None:
            opened = download.open_url(self.source) if self.fileobj is None else self.fileobj
            try:
                self._local = Path(download.save(opened, self.filename))
            finally:
                if self.fileobj is None:
                    opened.close()
        return self._local

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the downloaded file, if there is one."""
        if self._local is not None:
            self._local.unlink(missing_ok=missing_ok)
            self._local = None

    def __str__(self) -> str:
        return self.source

    def __fspath__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"URLPath({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URLPath) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(URLPath, source=self.source, filename=self.filename), ()


class File(io.IOBase):
    """An open file. Deprecated: `Path` costs less memory and works everywhere."""

    @classmethod
    def validate(cls, value: object) -> io.IOBase:
        """The opened content of a URL (http, https or data); what is open already is returned as it is.

        Raises:
            ValueError: the value is neither, or the data URL cannot be decoded.
        """
        if isinstance(value, io.IOBase):
            return value
        scheme = download.scheme(value) if isinstance(value, str) else ""
        if scheme == "data":
            return io.BytesIO(download.decode(str(value)))
        if scheme in ("http", "https"):
            return URLFile(str(value))
        raise ValueError(
            f"{value!r} cannot be opened as a File: it must be an http://, https:// or data: URL."
        )

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], object]]:  # Pydantic 1
        yield cls.validate

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, object]:
        return _pydantic_schema(cls.validate)


class URLFile(io.IOBase):
    """An open file whose content is fetched when it is first used; it can be read, and sought in."""

    def __init__(self, url: str, filename: str | None = None) -> None:
        """`filename` is what `.name` says; the default is the last part of the URL."""
        self.url = url
        self.name = download.filename(url) if filename is None else filename
        self._content: IO[bytes] | None = None

    def _file(self) -> IO[bytes]:
        if self.closed:
            raise ValueError(f"{self.name} is closed: read it before it is closed, or open {self.url} again.")
        if self._content is None:
            opened = download.open_url(self.url)
            with opened:
                self._content = download.buffer(opened)
        return self._content

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; all that is left by default."""
        return self._file().read(-1 if size is None else size)

    def readline(self, size: int | None = -1) -> bytes:
        """One line."""
        return self._file().readline(-1 if size is None else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte."""
        return self._file().seek(offset, whence)

    def tell(self) -> int:
        """The byte that is read next."""
        return self._file().tell()

    def readable(self) -> bool:
        """Always: nothing is fetched to say so."""
        return True

    def seekable(self) -> bool:
        """Always: nothing is fetched to say so."""
        return True

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole content to a local file."""
        self.seek(0)
        source = self._file()
        with open(path, "wb") as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)

    def close(self) -> None:
        """Give the content back."""
        content = getattr(self, "_content", None)  # not there when __init__ raised
        if content is not None:
            content.close()
            self._content = None
        super().close()

    def __repr__(self) -> str:
        return f"URLFile({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return URLFile, (self.url, self.name)


@dataclass(frozen=True, repr=False)
class Secret:
    """A text that is shown nowhere: logs, responses and webhooks have ten asterisks in its place."""

    secret_value: str | None

    def get_secret_value(self) -> str | None:
        """The text itself."""
        return self.secret_value

    def __str__(self) -> str:
        return "" if self.secret_value is None else MASK

    def __repr__(self) -> str:
        return f"Secret({self})"

    @classmethod
    def validate(cls, value: object) -> Secret:
        """A Secret of `value`, which may be one already.

        Raises:
            TypeError: it is no text.
        """
        if isinstance(value, Secret):
            return value
        if value is not None and not isinstance(value, str):
            raise TypeError("a Secret is made of a str.")
        return cls(value)

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], object]]:  # Pydantic 1
        yield cls.validate

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, object]:
        return _pydantic_schema(cls.validate)
