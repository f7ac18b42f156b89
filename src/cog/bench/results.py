"""All that a benchmark has found, and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cog.bench.advice import Advice
from cog.bench.figures import Step
from cog.bench.subject import Subject


@dataclass(frozen=True, slots=True)
class Results:
    """`taken_at` is a text of ISO 8601; `interrupted` says that somebody ended it before all was measured."""

    subject: Subject
    steps: tuple[Step, ...]
    advice: tuple[Advice, ...]
    taken_at: str
    interrupted: bool = False

    def document(self) -> dict[str, Any]:
        """As `cog bench --json` shows it. Times are in seconds, sizes in bytes."""
        return {
            "model": asdict(self.subject),
            "taken_at": self.taken_at,
            "interrupted": self.interrupted,
            "steps": [_step(step) for step in self.steps],
            "recommendations": [asdict(each) for each in self.advice],
        }


def _step(step: Step) -> dict[str, Any]:
    found = asdict(step)
    setup = found.pop("setup")
    failures = found.pop("failures")
    return {
        "threads": setup["threads"],
        "batch_size": setup["batch"],
        **found,
        "failures": [{"error": text, "count": count} for text, count in failures],
    }
