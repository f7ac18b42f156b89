"""What a model can be asked to do, with the names that this has in the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that a model does: it is asked with a `verb` and gives a `noun`.

    The names of the model's own components are `prefix` and Input or Output, those of what is sent to and fro
    `envelope` and Request or Response.
    """

    verb: str
    noun: str
    description: str
    prefix: str
    envelope: str

    @property
    def path(self) -> str:
        """Where it is asked for: `/predictions`."""
        return f"/{self.noun}s"

    @property
    def id_name(self) -> str:
        """What its id is called in addresses: `prediction_id`."""
        return f"{self.noun}_id"


PREDICT: Final = Task("predict", "prediction", "Run a single prediction on the model", "", "Prediction")
TRAIN: Final = Task("train", "training", "Run a single training on the model", "Training", "Training")
