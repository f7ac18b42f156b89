"""One line in the log for each prediction, or training: how it ended."""

from __future__ import annotations

import logging

from cog.prediction.events import Done, Event, Status
from cog.prediction.record import Prediction

log = logging.getLogger("cog.predictions")


class PredictionEnds:
    """A listener that tells of the end of everything it listens to."""

    def __init__(self, noun: str = "prediction") -> None:
        """`noun` is what that is; of predictions it is not said."""
        self._head = "" if noun == "prediction" else f"{noun} "

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Tell of it, if it is the end."""
        if type(event) is not Done:
            return
        fields: dict[str, object] = {"id": prediction.id, "status": event.status.value}
        text = self._head + event.status.value
        if event.predict_time is not None:  # else the model has seen nothing of it
            fields["predict_time"] = round(event.predict_time, 6)
            text += f" {'in' if event.status is Status.SUCCEEDED else 'after'} {_seconds(event.predict_time)}"
        if event.error is not None:
            fields["error"] = error = event.error.partition("\n")[0]
            text += f": {error}"
        level = logging.WARNING if event.status is Status.FAILED else logging.INFO
        log.log(level, "%s", text, extra={"fields": fields, "told": ("status", "predict_time", "error")})


def _seconds(time: float) -> str:
    """With as many places as mean something to a person: 4.2 ms, 0.42 s, 42 s."""
    number, unit = (time * 1000, "ms") if time < 0.1 else (time, "s")
    return f"{float(f'{number:.2g}'):g} {unit}" if number < 100 else f"{number:.0f} {unit}"
