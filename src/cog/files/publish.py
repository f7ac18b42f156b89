"""Output files: each becomes a URL in the output, of its data or of the place that it was uploaded to."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar
from urllib.parse import quote_from_bytes, urljoin, urlsplit, urlunsplit

from cog.errors import OutputError, UploadError
from cog.files import data_url
from cog.files.media_types import media_type
from cog.files.names import TakenNames
from cog.files.threads import complete
from cog.net.client import PUT_REDIRECTS, Client, NetError, Request
from cog.net.retry import answered, retried
from cog.prediction.events import OutputFile

if TYPE_CHECKING:
    from aiohttp import ClientResponse

T = TypeVar("T")

# Read at once, and handed over in smaller parts: each part that was taken counts as progress.
_READ: Final = 1024 * 1024
_PART: Final = 64 * 1024
# Uploads of one payload that run at once; more would meet the limit of open files.
_AT_ONCE: Final = 32


class Publisher:
    """Puts the files of an output where its readers can get them."""

    def __init__(
        self,
        client: Client,
        *,
        upload_url: str | None = None,
        attempts: int = 4,
        idle_timeout: float = 30.0,
        backoff: float = 0.5,
    ) -> None:
        """Without `upload_url` files become data URLs. An upload may be without progress for `idle_timeout`
        seconds; `backoff` is the wait in seconds before the second attempt, doubled for each further one."""
        self._client = client
        self._upload_url = upload_url
        self._attempts = attempts
        self._idle_timeout = idle_timeout
        self._backoff = backoff
        self._names = TakenNames()

    async def publish(
        self, payload: bytes, files: Sequence[OutputFile], prediction_id: str, *, room: int | None = None
    ) -> bytes:
        """`payload` with a URL in the place of each file's mark. Data URLs may take `room` bytes together.

        Raises:
            OutputError: a file cannot be read, or the data URLs are larger than that.
            UploadError: a file could not be delivered; the other uploads of this payload are cancelled.
        """
        if not files:
            return payload
        if self._upload_url is None:
            return await complete(_inlined, payload, files, room)
        targets = [self._target(self._upload_url, file, prediction_id) for file in files]
        limit = asyncio.Semaphore(_AT_ONCE)
        urls = await _all(
            [self._upload(file, url, prediction_id, limit) for file, url in zip(files, targets, strict=True)]
        )
        return b"".join(_spliced(payload, files, [json.dumps(url).encode() for url in urls]))

    def forget(self, prediction_id: str) -> None:
        """The prediction is over: a later one with its id may use the same names at the upload URL."""
        self._names.forget(prediction_id)

    def _target(self, upload_url: str, file: OutputFile, prediction_id: str) -> str:
        """Where this file is PUT: the name ends the path, a query of the upload URL stays behind it."""
        parts = urlsplit(upload_url)
        name = quote_from_bytes(os.fsencode(self._names.take(prediction_id, file.name)), safe="")
        path = f"{parts.path.removesuffix('/')}/{name}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    async def _upload(self, file: OutputFile, url: str, prediction_id: str, limit: asyncio.Semaphore) -> str:
        headers = {"Content-Type": media_type(file.name), "X-Prediction-Id": prediction_id}
        async with limit:
            try:
                stream = open(file.path, "rb")  # noqa: ASYNC230, SIM115
            except OSError as error:
                raise _unreadable(file, error) from error
            try:
                attempt = partial(self._attempt, _Body(stream), url, headers)
                return await retried(attempt, attempts=self._attempts, backoff=self._backoff)
            except NetError as error:
                tried = f" ({self._attempts} attempts)" if error.retryable and self._attempts > 1 else ""
                raise UploadError(
                    f"the output file {file.name} could not be uploaded: {error}{tried}. "
                    "Check the service behind --upload-url."
                ) from error
            except OSError as error:
                raise _unreadable(file, error) from error
            finally:
                await complete(stream.close)

    async def _attempt(self, body: _Body, url: str, headers: dict[str, str]) -> str:
        return await body.watched(self._put(body, url, headers), self._idle_timeout)

    async def _put(self, body: _Body, url: str, headers: dict[str, str]) -> str:
        request = Request(
            "PUT",
            url,
            headers | {"Content-Length": str(body.size)},
            body if body.size else b"",
            idle=None,  # the body is watched, sending and waiting alike
            follow=PUT_REDIRECTS,
            trusted=True,  # the operator named this server, which may well be a private one
        )
        async with self._client.request(request) as response:
            if not 200 <= response.status < 300:
                raise answered(response.status, response.headers)
            return _result(response)


class _Body:
    """A file as the body of a request; each iteration starts at its beginning."""

    def __init__(self, stream: BinaryIO) -> None:
        self.size = os.fstat(stream.fileno()).st_size
        self._stream = stream
        self._moved_at = 0.0
        self._error: OSError | None = None

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        for start in range(0, self.size, _READ):
            try:
                piece = memoryview(await complete(self._read, start))
            except OSError as error:
                self._error = error  # the client takes it for an error of the connection
                raise
            for at in range(0, len(piece), _PART):
                self._moved_at = asyncio.get_running_loop().time()
                yield piece[at : at + _PART]

    def _read(self, start: int) -> bytes:
        self._stream.seek(start)
        return self._stream.read(_READ)

    async def watched(self, work: Coroutine[Any, Any, T], idle: float) -> T:
        """What `work` returns, given up when nothing of this body was taken for `idle` seconds.

        Raises:
            NetError: it was given up.
            OSError: the file could not be read.
        """
        loop = asyncio.get_running_loop()
        self._moved_at, self._error = loop.time(), None
        task = loop.create_task(work)
        try:
            while (left := self._moved_at + idle - loop.time()) > 0:
                await asyncio.wait({task}, timeout=left)
                if task.done():
                    return task.result()
            raise NetError(f"there was no progress for {idle:g} s")
        except NetError:
            if self._error is not None:
                raise self._error from None
            raise
        finally:
            await _ended([task])


async def _all(works: Sequence[Awaitable[T]]) -> list[T]:
    """The results in order; with the first error all others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _ended(tasks)


async def _ended(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what is not done, and wait for it."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


def _result(response: ClientResponse) -> str:
    """Where the file can be read: what the server says, else where it was sent. Never with the query, which
    may be a signature that allows to write."""
    url = str(response.url)
    location = response.headers.get("Location")
    return urlunsplit(urlsplit(urljoin(url, location) if location else url)._replace(query=""))


def _inlined(payload: bytes, files: Sequence[OutputFile], room: int | None) -> bytes:
    if room is not None and _encoded_size(files) > room:
        raise OutputError(
            "the output files are larger as data URLs than --max-output allows for all the output of one "
            "prediction. Let the server upload them (--upload-url), return smaller ones, or allow more."
        )
    text = io.BytesIO()  # gives what was written without another copy
    for part in _spliced(payload, files, files):
        if isinstance(part, bytes):
            text.write(part)
        else:
            _write_data_url(part, text)
    return text.getvalue()


def _encoded_size(files: Sequence[OutputFile]) -> int:
    size = 0
    for file in files:
        try:
            size += os.stat(file.path).st_size * 4 // 3
        except OSError as error:
            raise _unreadable(file, error) from error
    return size


def _write_data_url(file: OutputFile, text: BinaryIO) -> None:
    """Write the content of `file` as a data URL in JSON, never holding more than a piece of it."""
    text.write(b'"' + data_url.prefix(media_type(file.name)))
    try:
        with open(file.path, "rb") as stream:
            while piece := stream.read(data_url.ENCODE_PIECE):
                text.writelines(data_url.base64_pieces(piece))
    except OSError as error:
        raise _unreadable(file, error) from error
    text.write(b'"')


def _spliced(payload: bytes, files: Sequence[OutputFile], texts: Sequence[T]) -> list[bytes | T]:
    """The pieces of `payload` with each file's text, whatever stands for it, in the place of its mark.

    Marks are random, so nothing else in the payload can look like one, and it need not be parsed.
    """
    places = []
    cursor = 0
    for file, text in zip(files, texts, strict=True):
        mark = json.dumps(file.mark).encode()
        at = payload.find(mark, cursor)
        if at < 0:  # files mostly come in the order of their marks, but need not
            at = payload.find(mark)
        if at < 0:
            raise OutputError(f"the output does not say where the file {file.name} belongs")
        cursor = at + len(mark)
        places.append((at, cursor, text))
    pieces: list[bytes | T] = []
    cursor = 0
    for start, end, text in sorted(places, key=itemgetter(0)):
        pieces += [payload[cursor:start], text]
        cursor = end
    return [*pieces, payload[cursor:]]


def _unreadable(file: OutputFile, error: OSError) -> OutputError:
    return OutputError(f"the output file {file.name} cannot be read: {error.strerror or error}")
