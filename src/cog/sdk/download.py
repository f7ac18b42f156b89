"""Fetching a URL with the standard library, for models that use `URLPath` and `URLFile` themselves. The
inputs of a prediction do not come this way: the server fetches them before the model is called.

What only a download needs is imported by the function that needs it: every model imports this module, and
few of them use it.
"""

from __future__ import annotations

import io
import os
from typing import IO, Final, cast

SILENCE: Final = 30.0  # seconds without a byte, as for the inputs of a prediction
_LONGEST: Final = 200  # bytes of a file's name: file systems allow 255, and a random part goes in front


def scheme(url: str) -> str:
    """The scheme of `url` in lower case; empty when it has none."""
    head, colon, _ = url[:16].partition(":")
    return head.lower() if colon else ""


def is_url(text: str) -> bool:
    """True for an http, https or data URL."""
    return scheme(text) in ("http", "https", "data")


def filename(url: str) -> str:
    """What the file at `url` is called, without anything that could lead out of a folder; `file` when
    unknown."""
    from urllib.parse import unquote, urlsplit

    if scheme(url) == "data":
        return "file" + _extension(url)
    name = unquote(urlsplit(url).path).rpartition("/")[2].replace("\0", "_")
    while len(name.encode("utf-8", "replace")) > _LONGEST:
        stem, dot, extension = name.rpartition(".")
        name = stem[:-1] + dot + extension if stem else extension[:-1]
    return name if name not in ("", ".", "..") else "file"


def _extension(url: str) -> str:
    import mimetypes  # only data URLs need it

    kind = url[5:].partition(",")[0].partition(";")[0]
    return mimetypes.guess_extension(kind or "text/plain") or ""


def decode(url: str) -> bytes:
    """The content of a data URL.

    Raises:
        ValueError: it has no comma, or its base64 is damaged.
    """
    import base64
    import binascii
    from urllib.parse import unquote_to_bytes

    head, comma, body = url.partition(",")
    if not comma:
        raise ValueError("this data URL has no comma between its media type and its content.")
    content = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"this data URL is not valid base64 ({error}): encode its content again.") from None


def open_url(url: str) -> IO[bytes]:
    """The content of `url`, to be read and closed.

    Raises:
        OSError: it cannot be had; the text names the status or the network's reason.
        ValueError: a data URL that cannot be decoded, or another scheme.
    """
    if scheme(url) == "data":
        return io.BytesIO(decode(url))
    if not is_url(url):
        raise ValueError(f"{url!r} cannot be fetched: it must be an http://, https:// or data: URL.")
    from urllib.request import Request, urlopen  # slow to import, and most models never fetch

    agent = os.environ.get("COG_USER_AGENT", "cog")
    return cast("IO[bytes]", urlopen(Request(url, headers={"User-Agent": agent}), timeout=SILENCE))


def save(source: IO[bytes], name: str) -> str:
    """Copy `source` into a new temporary file whose name ends with `name`; returns its path."""
    import shutil
    import tempfile

    handle, path = tempfile.mkstemp(suffix=name.replace("/", "_"))
    try:
        with open(handle, "wb") as target:
            shutil.copyfileobj(source, target)
    except BaseException:
        os.unlink(path)
        raise
    return path


def buffer(source: IO[bytes]) -> IO[bytes]:
    """A copy of `source` that can be sought in: a temporary file without a name, at its beginning."""
    import shutil
    import tempfile

    target = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    try:
        shutil.copyfileobj(source, target)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return cast("IO[bytes]", target)
