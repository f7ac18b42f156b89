"""Files that a model puts out come as URLs; here they become files again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

from cog.client.target import Target, writing
from cog.errors import UnsavedOutput
from cog.files import data_url
from cog.files.media_types import extension

TIMEOUT: Final = 60.0  # seconds without a byte of a download
_PIECE: Final = 1024 * 1024
_HTTP: Final = ("http://", "https://")


def is_file(schema: Mapping[str, Any], value: object) -> bool:
    """Whether `value`, of which `schema` is known, is a file.

    Where the schema leaves open what a text is (a dict's values, a union), only what cannot be meant as text
    is one: base64 in a data URL.
    """
    if not isinstance(value, str):
        return False
    if schema.get("format") == "uri":
        return data_url.is_data_url(value) or value[:8].lower().startswith(_HTTP)
    if schema.get("type") is not None:
        return False
    return data_url.is_data_url(value) and ";base64," in value[:200]


def save(url: str, target: Target, parts: tuple[str | int, ...]) -> Path:
    """Write the file behind `url` to its place in `target`.

    Raises:
        UnsavedOutput: it cannot be fetched, or not be written.
    """
    if data_url.is_data_url(url):
        try:
            media_type, content = data_url.parse(url)
        except data_url.DataUrlError as error:
            raise UnsavedOutput(f"A file of the output cannot be read: {error}.") from error
        path = target.path(parts, extension(media_type))
        with writing(path) as file:
            file.write(content)
        return path
    return _download(url, target, parts)


def _download(url: str, target: Target, parts: tuple[str | int, ...]) -> Path:
    from urllib.request import urlopen  # only the outputs of servers with --upload-url need it

    try:
        with urlopen(url, timeout=TIMEOUT) as response:
            suffix = _suffix(url) or extension(response.headers.get_content_type())
            path = target.path(parts, suffix)
            with writing(path) as file:
                _copy(response, file, response.headers.get("Content-Length"))
            return path
    except UnsavedOutput:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise UnsavedOutput(f"The output lies at {url} and cannot be fetched: {error}.") from error


def _copy(response: IO[bytes], file: IO[bytes], length: str | None) -> None:
    shutil.copyfileobj(response, file, _PIECE)
    if length is not None and length.isdecimal() and file.tell() != int(length):
        raise UnsavedOutput(
            f"The download of the output broke off after {file.tell():,} of {int(length):,} bytes."
        )


def _suffix(url: str) -> str:
    suffix = os.path.splitext(unquote(urlsplit(url).path))[1]
    return "" if suffix[1:].isdecimal() or "/" in suffix or len(suffix) > 12 else suffix
