"""What was asked: any accepted request, in one shape."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

# What a webhook can be sent for; the default of `webhook_events_filter` is all of them.
WEBHOOK_EVENTS: Final = ("start", "output", "logs", "completed")

ID_RULE: Final = "1 to 256 characters of A-Z a-z 0-9 . _ ~ : @ = + , - and neither '.' nor '..'"
_ID = re.compile(r"[A-Za-z0-9._~:@=+,\-]{1,256}")
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = [first + second for first in _BASE32 for second in _BASE32]
_SHIFTS: Final = range(120, -1, -10)


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where news of a prediction goes, and which news.

    `headers` are sent along with each: the request's own `traceparent` and `tracestate`. `members` are what each body
    has before the prediction's own members: `{"name":value,...}` without its last brace, or nothing.
    """

    url: str
    events: frozenset[str] = frozenset(WEBHOOK_EVENTS)
    headers: Mapping[str, str] = field(default_factory=dict)
    members: bytes = b""

    def body(self, prediction: bytes) -> bytes:
        """What is sent of `prediction`, which is a JSON object."""
        return b"%b,%b" % (self.members, prediction[1:]) if self.members else prediction


class PredictionRequest(NamedTuple):
    """One accepted request.

    `input` is the JSON object as the client sent it, checked but not converted; `context` is handed to the model as
    it is. `id` is the client's or a new one of ours.
    """

    id: str
    input: bytes = b"{}"
    context: Mapping[str, str] = _NOTHING
    webhook: Webhook | None = None


def valid_id(text: str) -> bool:
    """True for an id that a client may choose. It is never part of a file name, whatever it says."""
    return _ID.fullmatch(text) is not None and text not in (".", "..")


class _Chance:
    """Random bytes of the system, fetched for many ids at once: the call costs more than all the rest of an id."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()

    def read(self, count: int) -> bytes:
        taken = self._bytes.read(count)
        if len(taken) < count:
            self._bytes = io.BytesIO(os.urandom(4000))
            taken = self._bytes.read(count)
        return taken


_chance: Final = _Chance()


def new_id() -> str:
    """A new id: a UUIDv7 (RFC 9562, section 5.7) as 26 characters of lower-case base32: it holds its time."""
    stamp = time.time_ns() // 1_000_000
    chance = int.from_bytes(_chance.read(10), "big")
    number = (stamp << 80) | (0x7 << 76) | ((chance >> 68) << 64) | (0b10 << 62) | (chance & (2**62 - 1))
    number <<= 2  # 128 bits are 25.6 characters of five bits
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
