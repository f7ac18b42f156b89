"""What each layer of an image weighs, and what it is for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cog.image import calls
from cog.image.dockerfile import instruction
from cog.image.engine import Engine
from cog.image.progress import title
from cog.image.steps import From, Step

_UNITS: Final = {
    "B": 1,
    "kB": 1_000,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "TB": 1_000_000_000_000,
}
_SIZE: Final = re.compile(r"([0-9.]+) ?([kKMGT]?B)")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, with its size in bytes as the engine knows it, which is not compressed."""

    size: int
    why: str


def weigh(engine: Engine, image: str, steps: Sequence[Step]) -> list[Layer]:
    """The layers of an image that was made by `steps`; all of the base are one."""
    told = calls.answer(engine.history(image)).stdout.splitlines()
    sizes = [(size(line.partition("\t")[0]), line.partition("\t")[2]) for line in told]
    return attribute(list(reversed(sizes)), steps)


def attribute(rows: Sequence[tuple[int, str]], steps: Sequence[Step]) -> list[Layer]:
    """`rows` are sizes and what engines say that made them, the oldest first. What comes after the last step is cog's own."""
    last = max(index for index, step in enumerate(steps) if isinstance(step, From))
    base, own = steps[last], steps[last + 1 :]
    made = [(line, step) for step in own for line in instruction(step).replace(" \\\n", " ").split("\n")]
    begin = _begin([row for _, row in rows], [line for line, _ in made])
    layers = [Layer(sum(weight for weight, _ in rows[:begin]), base.why)]
    layers += [
        Layer(rows[begin + at][0], title(step)) for at, (_, step) in enumerate(made) if begin + at < len(rows)
    ]
    rest = sum(weight for weight, _ in rows[begin + len(made) :])
    layers.append(Layer(rest, "What the model accepts, for servers that look for it in a file"))
    return [layer for layer in layers if layer.size]


def _begin(rows: Sequence[str], made: Sequence[str]) -> int:
    """Where the base ends: at the first row that was made by our first line."""
    first = _letters(made[0])
    return next((at for at, row in enumerate(rows) if first in _letters(row)), len(rows))


def _letters(text: str) -> str:
    return re.sub(r"[\s\\]+", "", text)


def size(text: str) -> int:
    """`41.5 MB` in bytes; 0 for what is no size."""
    match = _SIZE.search(text)
    return 0 if match is None else round(float(match[1]) * _UNITS[match[2]])


def shown(count: int) -> str:
    """Bytes for a person: `41.5 MB`."""
    unit = next(name for name, worth in reversed(_UNITS.items()) if count >= worth or name == "B")
    unit = "kB" if unit == "KB" else unit
    number = count / _UNITS[unit]
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
