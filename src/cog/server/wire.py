"""HTTP to and from our types: bodies, headers, answers, errors."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple, TypeAlias

from cog.errors import BodyTooLarge, CogError, InvalidRequest, RequestError, UnsupportedMediaType
from cog.server.envelope import Envelope, read

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_JSON: Final = (b"content-type", b"application/json")


class Answer(NamedTuple):
    """One response: a JSON body and headers beside its type and length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        """Put it on the wire."""
        length = (b"content-length", b"%d" % len(self.body))
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [_JSON, length, *self.headers]}
        )
        await send({"type": "http.response.body", "body": self.body})


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a header; several of the same name are joined as RFC 9110, section 5.3, says."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            found = value if found is None else b"%b, %b" % (found, value)
    return None if found is None else found.decode("latin-1")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body, of at most `limit` bytes.

    Raises:
        BodyTooLarge: it is larger; where its length is announced, before any of it is read.
    """
    length = header(scope, b"content-length")
    if length is not None and int(length) > limit:
        raise too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    whole = io.BytesIO()  # gives what was written without another copy
    whole.write(body)
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        whole.write(part)
    if message["type"] == "http.disconnect":
        raise RequestError("the client went away before its request was complete")
    return whole.getvalue()


def too_large(limit: int) -> BodyTooLarge:
    """The error for a body of more than `limit` bytes."""
    return BodyTooLarge(
        f"the request body is larger than {limit:,} bytes. Send large files as URLs, or raise --max-body (COG_MAX_BODY)"
    )


def read_envelope(scope: Scope, body: bytes) -> Envelope:
    """The fields of a create request.

    Raises:
        UnsupportedMediaType: the Content-Type is not JSON.
        RequestError: the body is not JSON.
        InvalidRequest: it is JSON of another shape; every wrong field is named.
    """
    media_type = header(scope, b"content-type")
    if media_type is None:
        if not body:
            return Envelope()
    elif not is_json(media_type):
        raise UnsupportedMediaType(
            f"expected a body with Content-Type: application/json, not {media_type[:100]!r}"
        )
    try:
        return read(body)
    except RequestError as error:
        coding = header(scope, b"content-encoding")
        if error.status == 400 and coding is not None and coding.strip().lower() != "identity":
            raise UnsupportedMediaType(
                f"the request body has Content-Encoding: {coding[:100]}, and compressed ones are not read. "
                "Send it as it is"
            ) from error
        raise


def is_json(media_type: str) -> bool:
    """True for a Content-Type of JSON."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def error_answer(error: CogError, prediction_id: str | None = None, *, close: bool = False) -> Answer:
    """The one shape of every error: `{"error", "status": "failed", "id"?, "detail"?}`."""
    body: dict[str, object] = {"error": str(error), "status": "failed"}
    if prediction_id is not None:
        body["id"] = prediction_id
    if isinstance(error, InvalidRequest):
        body["detail"] = [
            {"loc": list(problem.loc), "msg": problem.msg, "type": problem.type} for problem in error.problems
        ]
    headers = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if close:
        headers.append((b"connection", b"close"))
    return Answer(error.status, to_json(body), tuple(headers))


def to_json(value: object) -> bytes:
    """`value` as JSON text; a lone surrogate, which has no UTF-8, is replaced."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
