"""The classes of a model, at the place where they once stood; now they are in `cog` itself. [compat]"""

from __future__ import annotations

from cog.sdk.runner import BasePredictor, BaseRunner

__all__ = ["BasePredictor", "BaseRunner"]
