"""`CancelationException`, where Cog's documentation says that it is; it is in `cog` itself as well. [compat]"""

from __future__ import annotations

from cog.sdk.exceptions import CancelationException

__all__ = ["CancelationException"]
