"""What is told of an exception: one line for the prediction's `error`, and the model's own frames for its logs."""

from __future__ import annotations

import os
import traceback
from typing import Final

_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_CUT: Final = 64 * 1024
_DEEPEST: Final = 100  # frames shown of a RecursionError are cut by traceback itself; causes are cut here


def summary(error: BaseException) -> str:
    """`ValueError: bad thing`; a text over 64 KiB is cut."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001  the model's own __str__: its failure is part of what is told
        text = f"(its text cannot be had: {type(broken).__name__} in __str__)"
    if len(text) > _CUT:
        text = f"{text[:_CUT]}... ({len(text):,} characters in all)"
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def model_traceback(error: BaseException) -> str:
    """The traceback without the frames of this package; an exception's text is cut as in `summary`."""
    try:
        shown = traceback.TracebackException.from_exception(error, limit=None)
        for part in _chain(shown):
            part.stack[:] = [frame for frame in part.stack if not _ours(frame.filename)]
            if hasattr(part, "_str") and len(part._str) > _CUT:
                part._str = part._str[:_CUT] + "..."
        return "".join(shown.format())
    except Exception as broken:  # noqa: BLE001  a model's exception may break every rule; the summary is what is left
        return f"{summary(error)}\n(no traceback: {type(broken).__name__} while it was made)\n"


def _ours(filename: str) -> bool:
    return filename.startswith(_OURS) or "importlib._bootstrap" in filename


def _chain(shown: traceback.TracebackException) -> list[traceback.TracebackException]:
    found: list[traceback.TracebackException] = []
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting and len(found) < _DEEPEST:
        part = waiting.pop()
        if part is not None:
            found.append(part)
            waiting += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
    return found
