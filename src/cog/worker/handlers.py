"""Signal handlers that the model installs: what they raise is raised in the model's own code, and nowhere else.

Python runs a handler wherever the main thread happens to be. An alarm that goes off while we read an order or send a
result, or inside the event loop, would lose that order, that result or the waking of a task.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any


class Shield:
    """Stands in the place of a handler. Handlers are compared and put back by models: they never see this."""

    inside: Callable[[], bool] = staticmethod(
        lambda: True
    )  # may the model see an exception here? In setup(): yes
    tell: Callable[[BaseException], None]

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Call the handler, as Python does when the signal has come."""
        if Shield.inside():
            self.handler(number, frame)
            return
        try:
            self.handler(number, frame)
        except BaseException as error:  # noqa: BLE001  the model's own code; nobody is there who could catch it
            Shield.tell(error)


def shield(inside: Callable[[], bool], tell: Callable[[BaseException], None]) -> None:
    """From now on exceptions of handlers are told to `tell` where `inside()` is false."""
    Shield.inside = staticmethod(inside)
    Shield.tell = staticmethod(tell)


def watch() -> None:
    """From now on every handler that is installed stands behind a shield, and Python's own for SIGINT too.

    What takes a function's place has its name as well: `Pool(initializer=signal.signal, ...)` sends it by that.
    """
    set_handler, get_handler = signal.signal, signal.getsignal

    @wraps(set_handler)
    def signal_(signalnum: int, handler: Any) -> Any:
        return _bare(set_handler(signalnum, Shield(handler) if callable(handler) else handler))

    @wraps(get_handler)
    def getsignal(signalnum: int) -> Any:
        return _bare(get_handler(signalnum))

    signal.signal = signal_
    signal.getsignal = getsignal
    if get_handler(signal.SIGINT) is signal.default_int_handler:
        signal_(signal.SIGINT, signal.default_int_handler)


def _bare(handler: Any) -> Any:
    return handler.handler if isinstance(handler, Shield) else handler
