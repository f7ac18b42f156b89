"""`suppress_output()`, for libraries that print more than anybody wants to read. [compat]"""

from __future__ import annotations

from cog.sdk.silence import suppress_output

__all__ = ["suppress_output"]
