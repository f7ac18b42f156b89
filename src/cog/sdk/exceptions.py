"""What can be raised inside a model while it runs."""

from __future__ import annotations


class CancelationException(BaseException):  # [compat] the spelling is what models catch
    """The prediction was cancelled.

    It is raised inside `run()`. Catch it to clean up, then raise it again. It is no `Exception`, so that a
    broad `except Exception` in a library does not swallow it.
    """
