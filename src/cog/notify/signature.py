"""Signatures of webhooks, as Standard Webhooks has them (standardwebhooks.com, "Signature scheme")."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, one for each
    key, separated by spaces. `timestamp` is in seconds since the epoch.
    """
    return " ".join(_one(key, f"{message_id}.{timestamp}.".encode(), body) for key in keys)


def _one(key: bytes, head: bytes, body: bytes) -> str:
    # In two steps: joined they would be a copy of the body.
    mac = hmac.new(key, head, "sha256")
    mac.update(body)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"
