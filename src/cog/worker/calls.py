"""One run of the model, as the worker sees it, and which one the code at hand belongs to."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Final

from cog.sdk.exceptions import CancelationException

# After a cancel was raised inside the model, wait this long before it is raised again: code that swallowed it
# (a broad except, a `__del__`) needs another one, code that is cleaning up must be left alone.
PAUSE: Final = 0.1


class Call:
    """One run: its number, its folder, and how far a cancel of it has come.

    `canceling` is set by the control thread; `open` is true while the model's code runs in the main thread, the only
    time at which a cancel may be raised; `guarded` counts nested sections of ours inside that window (a print that
    is being sent) in which it must not.
    """

    __slots__ = (
        "canceling",
        "closed",
        "delivered",
        "folder",
        "guarded",
        "held",
        "number",
        "open",
        "raised_at",
    )

    def __init__(self, number: int, folder: str) -> None:
        self.number = number
        self.folder = folder
        self.canceling = False
        self.delivered = False
        self.open = False
        self.guarded = 0
        self.closed = False
        self.raised_at = 0.0
        self.held: dict[str, list[str]] = {}  # text without a newline yet, by source

    def interrupt(self, handled: BaseException | None) -> None:
        """Raise the cancel here, if this is a moment at which the model may see it.

        `handled` is the exception that is being handled where this is called. While that is our cancel, or was
        caused by it, the model is cleaning up.

        Raises:
            CancelationException: now is the moment.
        """
        if not (self.canceling and self.open) or self.guarded:
            return
        if self.delivered and (time.monotonic() - self.raised_at < PAUSE or _from_cancel(handled)):
            return
        self.delivered = True
        self.raised_at = time.monotonic()
        raise CancelationException


def _from_cancel(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 100:
        if isinstance(error, CancelationException):
            return True
        error = error.__context__
        seen += 1
    return False


# The run that the code at hand belongs to: by context for an async model, for the whole process for a sync one.
_by_context: ContextVar[Call | None] = ContextVar("cog_call", default=None)
_process_wide: Call | None = None


def current() -> Call | None:
    """The run that the caller belongs to; None outside of any, and for one that has ended."""
    call = _by_context.get()
    if call is None:
        call = _process_wide
    return None if call is None or call.closed else call


def enter(call: Call) -> None:
    """From here on, code in this context and in tasks made from it belongs to `call`."""
    _by_context.set(call)


def enter_process(call: Call | None) -> None:
    """From here on, all code without a context of its own belongs to `call`."""
    global _process_wide
    _process_wide = call
