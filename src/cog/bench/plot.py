"""A plot as SVG: lines over the number of requests at a time. Its colours come from the page that it stands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple

from cog.bench.scale import Scale
from cog.bench.words import short

_WIDTH: Final = 560
_HEIGHT: Final = 320
_LEFT: Final = 68
_RIGHT: Final = 18
_TOP: Final = 16
_BOTTOM: Final = 46
COLOURS: Final = 6  # of lines; the next ones begin again


class Point(NamedTuple):
    """A place on a line, and what is told of it when a pointer rests there."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """`colour` counts from 0; `dash` tells lines of the same colour apart: 0 is none."""

    name: str
    points: tuple[Point, ...]
    colour: int = 0
    dash: int = 0


@dataclass(frozen=True, slots=True)
class Plot:
    """`label` says what it shows, for those who cannot see it; `word` writes a figure of the y axis; `mark` is the x that
    is pointed out, with a text."""

    label: str
    lines: Sequence[Line]
    x: Scale
    y: Scale
    word: Callable[[float], str]
    mark: tuple[float, str] | None = None

    def svg(self) -> str:
        """The element."""
        parts = [
            f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(self.label)}">',
            *self._grid(),
            *self._marked(),
            *(part for line in self.lines for part in self._line(line)),
            "</svg>",
        ]
        return "\n".join(parts)

    def _across(self, x: float) -> float:
        return round(_LEFT + self.x.place(x) * (_WIDTH - _LEFT - _RIGHT), 1)

    def _up(self, y: float) -> float:
        return round(_HEIGHT - _BOTTOM - self.y.place(y) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def _grid(self) -> Iterator[str]:
        for tick in self.y.ticks:
            y = self._up(tick)
            yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(short(self.word(tick)))}</text>'
        bottom = _HEIGHT - _BOTTOM
        yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        for tick in self.x.ticks:
            x = self._across(tick)
            yield f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 5}"/>'
            yield f'<text class="tick" x="{x}" y="{bottom + 19}" text-anchor="middle">{tick:,g}</text>'
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        yield f'<text class="tick" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">requests at a time</text>'

    def _marked(self) -> Iterator[str]:
        if self.mark is None:
            return
        at, text = self.mark
        x, right = self._across(at), self.x.place(at) < 0.7
        anchor, shift = ("start", 6) if right else ("end", -6)
        yield f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        yield (
            f'<text class="marked" x="{x + shift}" y="{_HEIGHT - _BOTTOM - 8}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def _line(self, line: Line) -> Iterator[str]:
        places = [(self._across(point.x), self._up(point.y), point.text) for point in line.points]
        colour = f"c{line.colour % COLOURS}"
        drawn = " ".join(f"{x},{y}" for x, y, _ in places)
        if len(places) > 1:
            yield f'<polyline class="line {colour} d{line.dash}" points="{drawn}"/>'
        for x, y, text in places:
            yield f'<circle class="dot {colour}" cx="{x}" cy="{y}" r="3.5"><title>{escape(text)}</title></circle>'
