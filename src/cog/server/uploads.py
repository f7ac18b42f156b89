"""/v1/files: what clients send ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cog.errors import InvalidRequest, NotFound, Problem, RequestError
from cog.files.media_types import media_type
from cog.files.shelf import Arrival, Filed, Shelf
from cog.server import replicate_form as form
from cog.server.multipart import Form, Part, boundary_of
from cog.server.wire import Receive, Scope, header, too_large

# Bytes of what a client may say of its file, which is kept in memory; characters of the file's name.
_MOST_METADATA: Final = 16 * 1024
_MOST_NAME: Final = 255

_is_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Uploads:
    """The handlers; each is one short function."""

    def __init__(self, shelf: Shelf, max_body: int) -> None:
        """`max_body` is in bytes, for the form that a file comes in."""
        self._shelf = shelf
        self._max_body = max_body

    def routes(self) -> Sequence[Route]:
        """Where everything is."""
        return (
            Route("/v1/files", self.create, methods=["POST"]),
            Route("/v1/files", self.list, methods=["GET"]),
            Route("/v1/files/{file_id}", self.get, methods=["GET"]),
            Route("/v1/files/{file_id}", self.delete, methods=["DELETE"]),
        )

    async def create(self, request: Request) -> Response:
        """POST /v1/files: a form with the file as `content`, and perhaps a JSON object as `metadata`."""
        boundary = boundary_of(header(request.scope, b"content-type"))
        async with self._shelf.receive() as arrival:
            delivery = _Delivery(arrival)
            reader = Form(boundary)
            async for data in _pieces(request.scope, request.receive, self._max_body):
                for piece in reader.feed(data):
                    await delivery.take(piece)
            reader.end()
            filed = await delivery.keep()
        return _json(form.file(filed, form.base_url(request.scope)), 201)

    async def list(self, request: Request) -> Response:
        """GET /v1/files: all that are there, newest first, on one page."""
        base = form.base_url(request.scope)
        results = [form.file(filed, base) for filed in self._shelf.newest_first()]
        return _json(form.page(results, f"{base}/v1/files", None, None))

    async def get(self, request: Request) -> Response:
        """GET /v1/files/{id}: what is known of a file."""
        filed = self._shelf.get(request.path_params["file_id"])
        if filed is None:
            raise _gone()
        return _json(form.file(filed, form.base_url(request.scope)))

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/files/{id}: 204, and it is gone. Predictions that have been created with it may still get it."""
        if not self._shelf.remove(request.path_params["file_id"]):
            raise _gone()
        return Response(status_code=204)


class _Delivery:
    """What the form says, as it comes: the file goes to disk, the rest is small."""

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._part: Part | None = None
        self._file: Part | None = None
        self._metadata = b""

    async def take(self, piece: Part | bytes) -> None:
        """The next piece of the form."""
        if isinstance(piece, Part):
            self._part = piece
            if piece.name == "content":
                if self._file is not None:
                    raise _wrong("content", "is there twice: send one file in a request")
                self._file = piece
        elif self._part is not None and self._part.name == "content":
            await self._arrival.write(piece)
        elif self._part is not None and self._part.name == "metadata":
            self._metadata += piece
            if len(self._metadata) > _MOST_METADATA:
                raise _wrong("metadata", f"is larger than {_MOST_METADATA:,} bytes")

    async def keep(self) -> Filed:
        """That was all of it."""
        if self._file is None:
            raise InvalidRequest([Problem(("body", "content"), "Field required", "value_error.missing")])
        metadata = self._metadata.strip() or b"{}"
        try:
            metadata.decode()
            _is_object(metadata)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            raise _wrong("metadata", "must be the JSON text of an object") from None
        name = (self._file.filename or "file").replace("\\", "/").rpartition("/")[2][-_MOST_NAME:] or "file"
        kind = self._file.media_type or media_type(name)
        return await self._arrival.keep(name, kind, metadata)


async def _pieces(scope: Scope, receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The request's body, of at most `limit` bytes, as it comes.

    Raises:
        BodyTooLarge: it is larger; where its length is announced, before any of it is read.
        RequestError: the client has gone.
    """
    length = header(scope, b"content-length")
    if length is not None and int(length) > limit:
        raise too_large(limit)
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError("the client went away before its request was complete")
        data: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(data)
        if size > limit:
            raise too_large(limit)
        yield data


def _wrong(field: str, complaint: str) -> InvalidRequest:
    return InvalidRequest([Problem(("body", field), complaint)])


def _gone() -> NotFound:
    return NotFound(
        "no file with this id is kept: it is too old, was deleted, made room for newer ones, or never was"
    )


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
