"""HTTP to and from our types: bodies, headers, answers, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import msgspec

from cog.errors import (
    BodyTooLarge,
    CogError,
    InvalidRequest,
    Problem,
    RequestError,
    UnsupportedMediaType,
)
from cog.prediction.request import ID_RULE, WEBHOOK_EVENTS, valid_id

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# What a client sends may be nested this deep, as in the reference.
DEEPEST: Final = 127
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))

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


class Envelope(msgspec.Struct, gc=False):
    """The body of a create request. Fields that are not listed are ignored, as in the reference."""

    id: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")
    context: dict[str, str] = msgspec.field(default_factory=dict)
    webhook: str | None = None
    webhook_events_filter: list[str] | msgspec.UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(Envelope).decode


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a header; several of the same name are joined as RFC 9110, section 5.3, says."""
    found = [value for key, value in scope["headers"] if key == name]
    if not found:
        return None
    return (found[0] if len(found) == 1 else b", ".join(found)).decode("latin-1")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body, of at most `limit` bytes.

    Raises:
        BodyTooLarge: it is larger; where its length is announced, before any of it is read.
    """
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    if message["type"] == "http.disconnect":
        raise RequestError("the client went away before its request was complete")
    return b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
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
    elif not _is_json(media_type):
        raise UnsupportedMediaType(
            f"expected a body with Content-Type: application/json, not {media_type[:100]!r}"
        )
    try:
        if not body.isascii():
            body.decode()  # the quick reader below does not look into every string
        envelope = _decode(body)
    except msgspec.ValidationError:
        _explain(body)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _not_json(error) from error
    _check_depth(body)
    if envelope.id is not None and not valid_id(envelope.id):
        raise InvalidRequest([Problem(("body", "id"), f"an id is {ID_RULE}")])
    events = envelope.webhook_events_filter
    if events is not msgspec.UNSET and not set(WEBHOOK_EVENTS).issuperset(events):
        _explain(body)
    if bytes(envelope.input) == b"null":
        envelope.input = msgspec.Raw(b"{}")
    return envelope


def _is_json(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _not_json(error: Exception) -> RequestError:
    if isinstance(error, RecursionError):
        return RequestError(f"the request body is nested too deep: more than {DEEPEST} levels")
    return RequestError(f"the request body is not JSON: {error}")


def _check_depth(body: bytes) -> None:
    """Refuse JSON that is nested too deep, by taking the innermost brackets away again and again."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return
    left = _STRING.sub(b"", body).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(DEEPEST):
        left = left.replace(b"[]", b"")
    if left:
        raise RequestError(f"the request body is nested too deep: more than {DEEPEST} levels")


def _explain(body: bytes) -> NoReturn:
    """Name everything that is wrong with the fields of a body, which the quick reader refused at the first."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error
    _check_depth(body)
    if not isinstance(value, dict):
        raise InvalidRequest(
            [Problem(("body",), 'the request body must be a JSON object, for example {"input": {}}')]
        )
    problems = [
        Problem(("body", name), "must be a string or null")
        for name in ("id", "webhook")
        if not isinstance(value.get(name), str | None)
    ]
    if isinstance(value.get("id"), str) and not valid_id(value["id"]):
        problems.append(Problem(("body", "id"), f"an id is {ID_RULE}"))
    context = value.get("context", {})
    if not isinstance(context, dict) or not all(isinstance(text, str) for text in context.values()):
        problems.append(Problem(("body", "context"), "must be an object whose values are strings"))
    events = value.get("webhook_events_filter", [])
    if not isinstance(events, list) or not all(
        isinstance(event, str) and event in WEBHOOK_EVENTS for event in events
    ):
        problems.append(
            Problem(
                ("body", "webhook_events_filter"),
                f"must be a list of some of {', '.join(map(repr, WEBHOOK_EVENTS))}",
            )
        )
    raise InvalidRequest(problems or [Problem(("body",), "the request body has fields of the wrong type")])


class Preference(NamedTuple):
    """What `Prefer` asks for (RFC 7240): an answer at once, or within `wait` seconds."""

    respond_async: bool = False
    wait: float | None = None


def read_preference(scope: Scope) -> Preference:
    """The preferences that this server knows; others are ignored, as RFC 7240, section 2, says."""
    text = header(scope, b"prefer")
    if text is None:
        return Preference()
    respond_async, wait = False, None
    for part in text.lower().split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip() == "respond-async":
            respond_async = True
        elif name.strip() == "wait" and value.strip().strip('"').isdigit():
            wait = float(value.strip().strip('"')[:9])
    return Preference(respond_async, wait)


def accepts_event_stream(scope: Scope) -> bool:
    """True when the client asks for server-sent events."""
    accept = header(scope, b"accept")
    return accept is not None and any(
        part.partition(";")[0].strip() == "text/event-stream" for part in accept.split(",")
    )


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
