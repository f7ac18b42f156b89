"""What is told of an exception: one line for the prediction's `error`, and the model's own frames for its logs."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from types import TracebackType
from typing import Final

from cog.errors import ProtocolError

_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# The inside of a running event loop: it stands in the traceback of what goes through the loop, as SystemExit does.
_LOOP: Final = frozenset(
    os.path.join(os.path.dirname(asyncio.__file__), name)
    for name in ("base_events.py", "events.py", "runners.py")
)
_JSON: Final = os.path.dirname(json.__file__) + os.sep
_CUT: Final = 64 * 1024
_DEEPEST: Final = 100  # causes are cut here
# Of a longer traceback (a model raised the recursion limit) the newest frames are shown: a million take five seconds.
_FRAMES: Final = 2000


def summary(error: BaseException) -> str:
    """`ValueError: bad thing`; a text over 64 KiB is cut."""
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001  the model's own __str__: its failure is part of what is told
        text = f"(its text cannot be had: {type(broken).__name__} in __str__)"
    if len(text) > _CUT:
        text = f"{text[:_CUT]}... ({len(text):,} characters in all)"
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def model_traceback(error: BaseException) -> str:
    """The traceback without the frames of this package; an exception's text is cut as in `summary`."""
    try:
        limit = None if _depth(error.__traceback__) <= _FRAMES else -_FRAMES
        shown = traceback.TracebackException.from_exception(error, limit=limit)
        for part in _chain(shown):
            part.stack[:] = _of_the_model(part.stack)
            if hasattr(part, "_str") and len(part._str) > _CUT:
                part._str = part._str[:_CUT] + "..."
        return "".join(shown.format())
    except BaseException as broken:  # noqa: BLE001  a model's exception may break every rule; the summary is what is left
        return f"{summary(error)}\n(no traceback: {type(broken).__name__} while it was made)\n"


def is_fatal(error: BaseException) -> bool:
    """True when the channel itself failed. An error that the model raised, such as TimeoutError, has no number."""
    return isinstance(error, ProtocolError) or (isinstance(error, OSError) and error.errno is not None)


def _depth(frames: TracebackType | None) -> int:
    count = 0
    while frames is not None and count <= _FRAMES:
        frames = frames.tb_next
        count += 1
    return count


def _of_the_model(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Without ours, and without those of the encoder between ours, when it is one of ours that raises."""
    encoder = _JSON if stack and _ours(stack[-1].filename) else None
    return [
        frame
        for frame in stack
        if not _ours(frame.filename) and not (encoder is not None and frame.filename.startswith(encoder))
    ]


def _ours(filename: str) -> bool:
    return filename.startswith(_OURS) or filename in _LOOP or "importlib._bootstrap" in filename


def _chain(shown: traceback.TracebackException) -> list[traceback.TracebackException]:
    found: list[traceback.TracebackException] = []
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting and len(found) < _DEEPEST:
        part = waiting.pop()
        if part is not None:
            found.append(part)
            waiting += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
    return found
