"""`Input(...)`, at the place where it once stood; now it is in `cog` itself. [compat]"""

from __future__ import annotations

from cog.sdk.field import FieldInfo, Input

__all__ = ["FieldInfo", "Input"]
