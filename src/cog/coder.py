"""`Coder`, which turns values of types of your own into JSON and back."""

from __future__ import annotations

from cog.sdk.coder import Coder

__all__ = ["Coder"]
