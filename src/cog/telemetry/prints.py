"""What the model prints also reaches the server's log, whatever the level."""

from __future__ import annotations

from cog.prediction.events import Event, Log, Source
from cog.prediction.record import Prediction
from cog.telemetry.logs import model_output


class PredictionPrints:
    """A listener that shows the prints of every prediction it listens to."""

    def notice(self, prediction: Prediction, event: Event) -> None:
        """Show one event, if it is a print."""
        if type(event) is Log:
            model_output(
                event.text, source=event.source, prediction_id=prediction.id, worker=None, setup=False
            )


def show(text: str, source: Source, worker: int, setup: bool) -> None:
    """Show what was printed outside of any prediction."""
    model_output(text, source=source, prediction_id=None, worker=worker, setup=setup)
