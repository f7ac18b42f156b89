"""The body of a create request: what stands around the input, read without looking into the input.

A body of ordinary size is one decode. What that refuses, and what is large, is read field by field: so every wrong
field is named, and the largest body that is allowed costs no more than a few passes over its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from cog.errors import InvalidRequest, Problem, RequestError
from cog.prediction.request import ID_RULE, WEBHOOK_EVENTS, valid_id

# What a client sends may be nested this deep, as in the reference.
DEEPEST: Final = 127

# The JSON text of `context`, in bytes: it goes to the model in a frame's header, which is no place for data.
MAX_CONTEXT: Final = 1024 * 1024

_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
# One level more, one level less, as signed bytes; the quotes are gone by then.
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_PIECE: Final = 1024 * 1024

_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class Envelope(msgspec.Struct, gc=False):
    """The body of a create request. Fields that are not listed are ignored, as in the reference; of a field that is
    given twice the last one counts."""

    id: str | None = None
    input: Raw = Raw(b"{}")
    context: dict[str, str] = msgspec.field(default_factory=dict)
    webhook: str | None = None
    webhook_events_filter: list[str] | UnsetType = UNSET


class _Fields(msgspec.Struct, gc=False):
    """The same fields, each as the JSON text that it is."""

    id: Raw | UnsetType = UNSET
    input: Raw = Raw(b"{}")
    context: Raw | UnsetType = UNSET
    webhook: Raw | UnsetType = UNSET
    webhook_events_filter: Raw | UnsetType = UNSET


_decode: Final = msgspec.json.Decoder(Envelope).decode
_decode_fields: Final = msgspec.json.Decoder(_Fields).decode
_decode_text: Final = msgspec.json.Decoder(str | None).decode
_EVENTS: Final = list[Literal[WEBHOOK_EVENTS]]  # type: ignore[valid-type]  # made at run time
_READERS: Final[dict[str, tuple[Callable[[Raw], Any], str]]] = {
    "id": (_decode_text, "must be a string or null"),
    "webhook": (_decode_text, "must be a string or null"),
    "context": (msgspec.json.Decoder(dict[str, str]).decode, "must be an object whose values are strings"),
    "webhook_events_filter": (
        msgspec.json.Decoder(_EVENTS).decode,
        f"must be a list of some of {', '.join(map(repr, WEBHOOK_EVENTS))}",
    ),
}
_scan: Final = msgspec.json.Decoder(Raw).decode


def read(body: bytes) -> Envelope:
    """The fields of a create request.

    Raises:
        RequestError: the body is not JSON.
        InvalidRequest: it is JSON of another shape; every wrong field is named.
    """
    try:
        if not body.isascii():
            body.decode()  # the quick reader below does not look into every string
        if len(body) > MAX_CONTEXT:
            return _read_fields(body)
        envelope = _decode(body)
    except msgspec.ValidationError:
        return _read_fields(body)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _not_json(body, error) from error
    _check_depth(body)
    wrong_id = envelope.id is not None and not valid_id(envelope.id)
    events = envelope.webhook_events_filter
    if wrong_id or (events is not UNSET and not set(WEBHOOK_EVENTS).issuperset(events)):
        return _read_fields(body)
    return _without_null(envelope)


def _without_null(envelope: Envelope) -> Envelope:
    if bytes(envelope.input) == b"null":
        envelope.input = Raw(b"{}")
    return envelope


def _not_json(body: bytes, error: Exception) -> RequestError:
    if isinstance(error, RecursionError):
        return RequestError(f"the request body is nested too deep: more than {DEEPEST} levels")
    advice = ""
    if isinstance(error, msgspec.DecodeError) and _HALF.search(body) is not None:
        advice = (
            r". An escape from \ud800 to \udfff is half of a character and needs its other half beside it"
        )
    return RequestError(f"the request body is not JSON: {error}{advice}")


def _read_fields(body: bytes) -> Envelope:
    """The fields one by one, or everything that is wrong with them."""
    try:
        _scan(body)  # all of it is JSON: the readers of types stop at the first wrong one
        _check_depth(body)
        fields = _decode_fields(body)
    except msgspec.ValidationError:
        example = 'the request body must be a JSON object, for example {"input": {}}'
        raise InvalidRequest([Problem(("body",), example)]) from None
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _not_json(body, error) from error
    envelope = Envelope(input=fields.input)
    problems: list[Problem] = []
    for name in _READERS:
        if (raw := getattr(fields, name)) is not UNSET:
            value = _value(name, raw)
            if isinstance(value, Problem):
                problems.append(value)
            else:
                setattr(envelope, name, value)
    if problems:
        raise InvalidRequest(problems)
    return _without_null(envelope)


def _value(name: str, raw: Raw) -> Any:
    """The value of a field, or the problem with it."""
    decode, rule = _READERS[name]
    if name == "context" and len(bytes(raw)) > MAX_CONTEXT:
        complaint = f"is larger than {MAX_CONTEXT:,} bytes. Data for the model belongs in the input"
        return Problem(("body", name), complaint)
    try:
        value = decode(raw)
    except msgspec.MsgspecError:
        return Problem(("body", name), rule)
    if name == "id" and value is not None and not valid_id(value):
        return Problem(("body", name), f"an id is {ID_RULE}")
    return value


def _check_depth(body: bytes) -> None:
    """Refuse JSON that is nested too deep. Linear in its size, whatever it holds."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return
    depth = 0
    for brackets in _brackets(body):
        # Signed bytes: an opening bracket is 1, a closing one -1.
        depths = list(accumulate(memoryview(brackets.translate(_STEPS)).cast("b"), initial=depth))
        if max(depths) > DEEPEST:
            raise RequestError(f"the request body is nested too deep: more than {DEEPEST} levels")
        depth = depths[-1]


def _brackets(body: bytes) -> Iterator[bytes]:
    """The brackets of `body`, which is JSON, without those within its strings; piece by piece."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(
            rb"\"", b""
        )  # what is left of the quotes begins or ends a string
    # A string without brackets is two quotes beside each other by then. Taking two such quotes away changes for no
    # bracket whether it is within a string, whether they are of one string or of two.
    left = body.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    within = 0
    for start in range(0, len(left), _PIECE):
        parts = left[start : start + _PIECE].split(b'"')
        yield b"".join(parts[within::2])
        within ^= (len(parts) - 1) & 1
