"""One run of the model, as the worker sees it, and which one the code at hand belongs to."""

from __future__ import annotations

from contextvars import ContextVar, Token
from time import monotonic  # by name: models replace what stands in the module, to freeze the time
from typing import BinaryIO, Final

from cog.sdk.exceptions import CancelationException

# After a cancel was raised inside the model, wait this long before it is raised again: code that swallowed it
# (a broad except, a `__del__`) needs another one, code that is cleaning up must be left alone.
PAUSE: Final = 0.1


class Held:
    """Text that has no newline yet."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.size = 0

    def add(self, text: str) -> None:
        """Keep `text` behind what is there."""
        self._parts.append(text)
        self.size += len(text)

    def take(self) -> str:
        """All of it; nothing is left."""
        text = "".join(self._parts)
        self._parts.clear()
        self.size = 0
        return text


class Call:
    """One run: its number, its folder, and how far a cancel of it has come.

    `canceling` is set by the control thread; `open` is true while the model's code runs in the main thread, the only
    time at which a cancel may be raised; `guarded` counts nested sections of ours inside that window (a print that
    is being sent) in which it must not. One prediction of a batch is a part of the call named by `lead`: it has only text
    and files of its own.
    """

    __slots__ = (
        "canceling",
        "closed",
        "delivered",
        "files",
        "folder",
        "guarded",
        "held",
        "lead",
        "number",
        "open",
        "raised_at",
    )

    def __init__(self, number: int, folder: str, lead: Call | None = None) -> None:
        self.number = number
        self.folder = folder
        self.lead = lead
        self.files: tuple[BinaryIO, ...] = ()  # opened for this run, closed at its end
        self.canceling = False
        self.delivered = False
        self.open = False
        self.guarded = 0
        self.closed = False
        self.raised_at = 0.0
        self.held: dict[str, Held] = {}  # by source

    def interrupt(self, handled: BaseException | None) -> None:
        """Raise the cancel here, if this is a moment at which the model may see it.

        `handled` is the exception that is being handled where this is called. While that is our cancel, or was
        caused by it, the model is cleaning up.

        Raises:
            CancelationException: now is the moment.
        """
        if not (self.canceling and self.open) or self.guarded:
            return
        if self.delivered and (monotonic() - self.raised_at < PAUSE or _from_cancel(handled)):
            return
        self.delivered = True
        self.raised_at = monotonic()
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


def enter(call: Call) -> Token[Call | None]:
    """From here on, code in this context and in tasks made from it belongs to `call`; `leave()` takes that back."""
    return _by_context.set(call)


def leave(token: Token[Call | None]) -> None:
    """Code in this context belongs again to what it belonged to before `enter()`."""
    _by_context.reset(token)


def leave_all() -> None:
    """Code in this context belongs to no run by itself: whatever was entered is left."""
    _by_context.set(None)


def enter_none() -> None:
    """From here on, code in this context belongs to no run, whatever is running meanwhile."""
    nobody = Call(0, "")
    nobody.closed = True
    _by_context.set(nobody)


def enter_process(call: Call | None) -> None:
    """From here on, all code without a context of its own belongs to `call`."""
    global _process_wide
    _process_wide = call
