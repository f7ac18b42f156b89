"""Input files: what a URL names becomes a file in the prediction's folder."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import unquote_plus, urlsplit

from cog.errors import DownloadError
from cog.files import data_url
from cog.files.inflate import Inflater
from cog.files.media_types import extension
from cog.files.threads import complete
from cog.net.client import GET_REDIRECTS, Client, NetError, Request
from cog.net.retry import answered, retried

if TYPE_CHECKING:
    from aiohttp import ClientResponse

# A hand-over to a thread costs as much as copying some 100 KB, so the pieces are larger than that.
_PIECE: Final = 1024 * 1024
# From the contract: long names are cut to this, their extension kept.
_LONGEST_NAME: Final = 200
_LONGEST_EXTENSION: Final = 32
# Data URLs below this are decoded where they are: a thread costs more.
_SMALL: Final = 64 * 1024
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Fetcher:
    """Fetches input files."""

    def __init__(
        self,
        client: Client,
        *,
        max_bytes: int,
        attempts: int = 4,
        idle_timeout: float = 30.0,
        timeout: float = 3600.0,
        backoff: float = 0.5,
    ) -> None:
        """`max_bytes` is the limit for one file; a server may be silent for `idle_timeout` seconds, and all
        attempts together may take `timeout` seconds; `backoff` is the wait in seconds before the second
        attempt, doubled for each further one."""
        self.client = client
        self.max_bytes = max_bytes
        self.attempts = attempts
        self.idle_timeout = idle_timeout
        self.timeout = timeout
        self.backoff = backoff

    async def fetch(self, url: str, folder: Path) -> Path:
        """The file that an http, https or data URL names, under `folder`, which is made when it is missing.

        Each call has a subfolder of its own, so equal names do not meet. When it fails or is cancelled
        nothing of the file is left.

        Raises:
            DownloadError: it could not be had; the text names the URL without its query.
        """
        if data_url.is_data_url(url):
            return await self._decode(url, folder)
        place = self._place(folder)
        target = place / name_of(url)
        try:
            await asyncio.wait_for(_Download(self, url, target).run(), self.timeout)
        except BaseException as error:
            await complete(shutil.rmtree, place, ignore_errors=True)
            if isinstance(error, asyncio.TimeoutError):
                raise self._too_slow(url) from error
            raise
        return target

    async def save(self, content: bytes, media_type: str, folder: Path) -> Path:
        """A new file `file.<extension of the media type>` with this content, under `folder`.

        Raises:
            DownloadError: it could not be written.
        """
        place = self._place(folder)
        target = place / f"file{extension(media_type)}"
        try:
            await complete(_write, target, content)
        except BaseException as error:
            await complete(shutil.rmtree, place, ignore_errors=True)
            if isinstance(error, OSError):
                raise _unkept("the content of a data URL", target, error) from error
            raise
        return target

    async def copy(self, source: str, name: str, folder: Path) -> Path:
        """A copy of the file `source` of this server, which the model may change as it likes, under `folder`; it is called
        as near to `name` as is safe.

        Raises:
            DownloadError: it could not be written, or was removed meanwhile.
        """
        place = self._place(folder)
        target = place / safe_name(name)
        try:
            await complete(shutil.copyfile, source, target)
        except OSError as error:
            await complete(shutil.rmtree, place, ignore_errors=True)
            if isinstance(error, FileNotFoundError) and error.filename == source:
                raise DownloadError(
                    f"the file {safe_name(name)} is not kept any more: send it again"
                ) from error
            raise _unkept(f"the file {safe_name(name)}", target, error) from error
        return target

    def _too_slow(self, url: str) -> DownloadError:
        return DownloadError(
            f"{shown(url)} could not be downloaded within the {self.timeout:g} s that --download-timeout "
            "allows for one input file, all attempts together. The server that it comes from is slow, or "
            "sends on purpose little by little."
        )

    async def _decode(self, url: str, folder: Path) -> Path:
        try:
            parsed = data_url.parse(url) if len(url) < _SMALL else await complete(data_url.parse, url)
        except data_url.DataUrlError as error:
            raise DownloadError(f"{data_url.shorten(url)} is not a valid data URL: {error}") from error
        if len(parsed.content) > self.max_bytes:
            raise DownloadError(f"{data_url.shorten(url)} {_too_large(self.max_bytes)}")
        return await self.save(parsed.content, parsed.media_type, folder)

    def _place(self, folder: Path) -> Path:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="input-", dir=folder))  # mode 0700
        except OSError as error:
            raise _unkept("an input file", folder / "input", error) from error


class _Download:
    """One file on its way: how much of it is there, and what is needed to go on from there."""

    def __init__(self, fetcher: Fetcher, url: str, target: Path) -> None:
        self._fetcher = fetcher
        self._url = url
        self._target = target
        self._shown = shown(url)
        self._size = 0  # bytes received, written or pending
        self._total: int | None = None  # bytes of the whole file, where the server says
        self._validator: str | None = None  # with it the server can tell whether the file is still the same
        self._pending: list[bytes] = []
        self._pending_size = 0

    async def run(self) -> None:
        """Fetch the file.

        Raises:
            DownloadError: it could not be had.
        """
        attempts = self._fetcher.attempts
        try:
            file = open(self._target, "xb", opener=partial(os.open, mode=0o600))  # noqa: SIM115, ASYNC230
            try:
                attempt = partial(self._attempt, file)
                await retried(attempt, attempts=attempts, backoff=self._fetcher.backoff)
            finally:
                await complete(file.close)
        except NetError as error:
            tried = f" ({attempts} attempts)" if error.retryable and attempts > 1 else ""
            raise DownloadError(
                f"{self._shown} could not be downloaded: {error}{tried}. "
                "Check that the URL is still valid and that this machine can reach it."
            ) from error
        except OSError as error:
            raise _unkept(self._shown, self._target, error) from error

    async def _attempt(self, file: BinaryIO) -> None:
        # Compressed answers could neither be measured nor resumed.
        headers = {"Accept-Encoding": "identity"}
        if self._size and self._validator is not None:
            headers |= {"Range": f"bytes={self._size}-", "If-Range": self._validator}
        idle = self._fetcher.idle_timeout
        request = Request("GET", self._url, headers, idle=idle, follow=GET_REDIRECTS, decode=False)
        async with self._fetcher.client.request(request) as response:
            await self._begin(response, file, resumed="Range" in headers)
            try:
                await self._receive(response, file)
            finally:
                await self._flush(file)  # what came is kept for the next attempt
        if self._total is not None and self._size != self._total:
            raise NetError(f"only {self._size} of {self._total} bytes came")

    async def _receive(self, response: ClientResponse, file: BinaryIO) -> None:
        if _plain(response):
            async for chunk in response.content.iter_any():
                await self._take(chunk, file)
            return
        inflater = Inflater(response.headers["Content-Encoding"])
        async for chunk in response.content.iter_any():
            for piece in inflater.feed(chunk):
                await self._take(piece, file)
        for piece in inflater.end():
            await self._take(piece, file)

    async def _begin(self, response: ClientResponse, file: BinaryIO, resumed: bool) -> None:
        headers = response.headers
        if resumed and response.status in (206, 416):
            part = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            fits = part is not None and int(part[1]) == self._size and _plain(response)
            if response.status == 206 and part is not None and fits:
                self._total = int(part[2]) if part[2].isdigit() else self._total
                return
            self._validator = None  # so the next attempt asks for all of it
            raise NetError("the server could not go on where the connection broke")
        if not 200 <= response.status < 300 or response.status == 206:
            raise answered(response.status, headers)
        self._size = 0
        await complete(_empty, file)
        plain = _plain(response)
        self._total = response.content_length if plain else None
        self._validator = _validator(response) if plain else None
        if self._total is not None and self._total > self._fetcher.max_bytes:
            raise self._over_limit()

    async def _take(self, chunk: bytes, file: BinaryIO) -> None:
        self._size += len(chunk)
        if self._size > self._fetcher.max_bytes:
            raise self._over_limit()
        self._pending.append(chunk)
        self._pending_size += len(chunk)
        if self._pending_size >= _PIECE:
            await self._flush(file)

    async def _flush(self, file: BinaryIO) -> None:
        pending, self._pending, self._pending_size = self._pending, [], 0
        if pending:
            await complete(file.write, b"".join(pending))

    def _over_limit(self) -> DownloadError:
        return DownloadError(f"{self._shown} {_too_large(self._fetcher.max_bytes)}")


def name_of(url: str) -> str:
    """A safe file name from the end of the URL's path, its extension kept; `file` when there is none."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return "file"  # it will not be fetched either, and the error says why
    return safe_name(unquote_plus(path.rpartition("/")[2], errors="replace"))


def safe_name(name: str) -> str:
    """`name` as that of a file in a folder of ours: without slashes and control characters, not too long, its extension
    kept; `file` for what is none."""
    name = re.sub(r"[/\x00-\x1f\x7f]", "_", name)
    if name in ("", ".", ".."):
        return "file"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    stem, suffix = os.path.splitext(name)
    if len(suffix.encode()) > _LONGEST_EXTENSION:
        stem, suffix = name, ""
    room = _LONGEST_NAME - len(suffix.encode()) - 1
    return f"{stem.encode()[:room].decode(errors='ignore')}~{suffix}"


def shown(url: str) -> str:
    """The URL as it may stand in an error: without its query and user, which may hold secrets."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a password with a slash in it, say, makes nonsense of host, port and path
    except ValueError:
        return "the URL"
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}"
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def _plain(response: ClientResponse) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() in ("identity", "")


def _validator(response: ClientResponse) -> str | None:
    """What If-Range may carry (RFC 9110, section 13.1.5): a strong ETag, else the date of the last change."""
    if response.headers.get("Accept-Ranges", "bytes").lower() == "none":
        return None
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _write(target: Path, content: bytes) -> None:
    with open(target, "xb", opener=partial(os.open, mode=0o600)) as file:
        file.write(content)


def _too_large(limit: int) -> str:
    return f"is larger than the {limit:,} bytes that --max-download allows for one input file"


def make_folder(folder: Path) -> None:
    """Make the folder of one prediction, for its user only.

    Raises:
        DownloadError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise _unkept("the input files", folder / "input", error) from error


def _unkept(what: str, target: Path, error: OSError) -> DownloadError:
    if error.errno in _FULL:
        return DownloadError(
            f"{what} could not be kept: no space is left on the disk of {target.parent}. "
            "Free some, or let TMPDIR name a folder on a larger disk."
        )
    if isinstance(error, FileNotFoundError):
        return DownloadError(
            f"{what} could not be kept: the server's folder for temporary files, above {target.parent}, is "
            "gone. Something removed it while the server ran, such as a job that empties /tmp: restart the "
            "server, and let TMPDIR name a folder that is left alone."
        )
    return DownloadError(f"{what} could not be kept in {target.parent}: {error.strerror or error}")
