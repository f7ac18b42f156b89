"""How a request that creates a prediction wants to be answered, as its headers say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from cog.server.wire import Scope, header, is_json

_TRACE: Final = ("traceparent", "tracestate")


class Manner(NamedTuple):
    """What a head asks for. `ordinary` when its body is JSON, and there is nothing to wait for but the end of the prediction;
    `trace` is what webhooks hand on."""

    ordinary: bool
    preference: Preference
    trace: Mapping[str, str]

    @classmethod
    def of(cls, scope: Scope) -> Manner:
        """As the headers of `scope` say."""
        media_type, coding = header(scope, b"content-type"), header(scope, b"content-encoding")
        preference = read_preference(scope)
        waits = preference.respond_async and preference.wait is not None
        json = media_type is not None and is_json(media_type) and coding is None
        return cls(json and not waits and not accepts_event_stream(scope), preference, trace_of(scope))


def trace_of(scope: Scope) -> dict[str, str]:
    """The headers of a trace (W3C Trace Context)."""
    return {name: value for name in _TRACE if (value := header(scope, name.encode())) is not None}


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
        elif name.strip() == "wait" and _is_number(digits := value.strip().strip('"')):
            wait = float(digits[:9])
    return Preference(respond_async, wait)


def _is_number(text: str) -> bool:
    return (
        text.isascii() and text.isdigit()
    )  # isdigit() alone is also true of "\N{SUPERSCRIPT TWO}", which is no number


def accepts_event_stream(scope: Scope) -> bool:
    """True when the client asks for server-sent events: it names them, and likes nothing else that there is better.

    `*/*` and `text/*` ask for nothing; of two that are liked the same it is the events, as in the reference.
    """
    accept = header(scope, b"accept")
    if accept is None or "event-stream" not in accept.lower():
        return False
    liked = dict(map(_liking, accept.lower().split(",")))
    events = liked.get("text/event-stream", 0.0)
    json = next((liked[kind] for kind in _JSON_RANGES if kind in liked), 0.0)
    return 0.0 < events >= json


# What JSON is among, the closest first (RFC 9110, section 12.5.1).
_JSON_RANGES: Final = ("application/json", "application/*", "*/*")


def _liking(part: str) -> tuple[str, float]:
    """A media range of an Accept header, and how much it is liked, from 0 to 1. What is no number counts as 1."""
    kind, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and _QUALITY.fullmatch(value.strip()):
            return kind, float(value)
    return kind, 1.0


_QUALITY: Final = re.compile(r"[01](?:\.[0-9]{0,3})?", re.ASCII)
