"""Nothing that is printed gets out: descriptors 1 and 2, and Python's own streams, lead nowhere for a while."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

# Blocks in several threads may overlap, and there is only one pair of descriptors: the first block silences, the last to
# end gives the voice back. What each would find for itself might be the silence of another.
_lock = threading.Lock()
_depth = 0
_voice = contextlib.ExitStack()


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Throw away what is printed in this block: by Python, by C code and by child processes.

    It holds for the whole process, other threads included. An exception passes through, and what is printed of it
    afterwards is seen.
    """
    global _depth
    with _lock:
        if _depth == 0:
            _flush()
            _silence()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _flush()  # what was printed inside must not come out now
                _voice.close()


def _silence() -> None:
    with contextlib.ExitStack() as made:
        nowhere = made.enter_context(open(os.devnull, "w", encoding="utf-8"))
        for descriptor in (1, 2):
            made.enter_context(_diverted(descriptor, nowhere))
        made.enter_context(contextlib.redirect_stdout(nowhere))
        made.enter_context(contextlib.redirect_stderr(nowhere))
        _voice.push(made.pop_all())


@contextlib.contextmanager
def _diverted(descriptor: int, target: TextIO) -> Iterator[None]:
    """`descriptor` leads where `target` leads; one that is closed stays closed."""
    try:
        kept = os.dup(descriptor)
    except OSError:
        yield
        return
    os.dup2(target.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


def _flush() -> None:
    """Let out what Python and C still hold back."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it is closed, or there is none
            stream.flush()
    try:
        import ctypes

        ctypes.CDLL(None).fflush(None)
    except (ImportError, OSError, AttributeError, TypeError):
        return  # a Python without ctypes: then C's own buffers come out when they are full
