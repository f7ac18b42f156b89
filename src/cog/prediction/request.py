"""What was asked: any accepted request, in one shape."""

from __future__ import annotations

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


class _Ids:
    """Makes ids: a UUIDv7 (RFC 9562, section 5.7) as 26 characters of lower-case base32: it holds its time. What is chance
    in it is made for many ids at once: that costs more than all the rest of an id.
    """

    def __init__(self) -> None:
        self._stamp = -1
        self._time = ""
        self._ends: list[str] = []

    def new(self) -> str:
        """A new one."""
        stamp = time.time_ns() // 1_000_000
        if stamp != self._stamp:
            self._stamp = stamp
            number = stamp << 2 | 0b01  # with the first half of the version, 0111
            self._time = "".join([_BASE32[(number >> shift) & 31] for shift in _SHIFTS])
        if not self._ends:
            self._ends = _ends(256)
        return self._time + self._ends.pop()


def _ends(count: int) -> list[str]:
    """The last 16 characters of ids: each stands for five bits, of which the chance is as much of a random byte."""
    chance = os.urandom(16 * count)
    free, version, before, variant, last = (chance.translate(table).decode() for table in _TABLES)
    return [
        f"{version[at]}{free[at + 1]}{before[at + 2]}{variant[at + 3]}{free[at + 4 : at + 15]}{last[at + 15]}"
        for at in range(0, len(chance), 16)
    ]


def _table(bits: int, of: int) -> bytes:
    """For a random byte the character whose five bits are those of `bits`, and of the byte where `of` has a one."""
    return bytes(ord(_BASE32[bits | (byte & of)]) for byte in range(256))


_SHIFTS: Final = range(45, -1, -5)
# Any character; the one with the other half of the version; the one with the first bit of the variant, 10, and the one with
# the second; the last one, in which the number ends.
_TABLES: Final = (
    _table(0, 31), _table(0b11000, 0b00111), _table(0b00001, 0b11110), _table(0, 0b01111), _table(0, 0b11100),
)  # fmt: skip

new_id: Final = _Ids().new
