"""The page about the life of a prediction, and its picture, drawn from the table that the server runs on."""

from __future__ import annotations

from typing import Final

from cog.prediction.events import Status
from cog.prediction.states import TABLE

_PAGE: Final = """\
# The states of a prediction

Drawn from the table that the server runs on, `src/cog/prediction/states.py`: what is not in it cannot happen.

![{alt}](states.svg)

| state | means | takes |
| --- | --- | --- |
{rows}

Nothing changes a prediction that has ended; what it put out before it failed or was canceled is kept.
"""
_MEANING: Final = {
    Status.STARTING: "accepted; it waits for its input files, a place or a batch",
    Status.PROCESSING: "the model computes",
    Status.SUCCEEDED: "the end: the output is whole",
    Status.FAILED: "the end: `error` says why",
    Status.CANCELED: "the end: somebody canceled it, or the server ended",
}

# The picture: a column for each step of a prediction's life. Colours that can be read on white and on black.
_BOX: Final = (132, 46)
_STEP: Final = (250, 86)
_STYLE: Final = (
    "text{font:14px system-ui,sans-serif;text-anchor:middle;fill:#fff}.note{font-size:12px;fill:#7a8599}"
    "path{fill:none;stroke:#7a8599;stroke-width:1.5;marker-end:url(#tip)}"
)
_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<polygon points="0,0 8,4 0,8" fill="#7a8599"/></marker></defs>'
)
_FILL: Final = {
    Status.STARTING: "#8a6d1a",
    Status.PROCESSING: "#1f6feb",
    Status.SUCCEEDED: "#1a7f47",
    Status.FAILED: "#c0392b",
    Status.CANCELED: "#5f6b7a",
}


def page() -> str:
    """The whole page."""
    rows = []
    for state, row in TABLE.items():
        takes = ", ".join(f"`{event.__name__.lower()}`" for event in row) or "nothing"
        rows.append(f"| `{state.value}` | {_MEANING[state]} | {takes} |")
    return _PAGE.format(alt="; ".join(_words()), rows="\n".join(rows))


def picture() -> str:
    """The picture, as SVG."""
    places = _places()
    width = max(x for x, _ in places.values()) + _BOX[0] + 10
    height = max(y for _, y in places.values()) + _BOX[1] + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{'; '.join(_words())}</title><style>{_STYLE}</style>",
        _TIP,
    ]
    for source, events in _ways().items():
        for target, names in events.items():
            parts.append(_arrow(places[source], places[target], ", ".join(names)))
    for state, (x, y) in places.items():
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="8" fill="{_FILL[state]}"/>'
        )
        parts.append(f'<text x="{x + _BOX[0] / 2:g}" y="{y + _BOX[1] / 2 + 5:g}">{state.value}</text>')
    return "\n".join([*parts, "</svg>"])


def _ways() -> dict[Status, dict[Status, list[str]]]:
    """From where to where, on which events."""
    found: dict[Status, dict[Status, list[str]]] = {state: {} for state in TABLE}
    for state, row in TABLE.items():
        for event, targets in row.items():
            for target in sorted(targets):
                found[state].setdefault(target, []).append(event.__name__.lower())
    return found


def _words() -> list[str]:
    return [
        f"{source.value} to {target.value} on {' or '.join(names)}"
        for source, targets in _ways().items()
        for target, names in targets.items()
    ]


def _places() -> dict[Status, tuple[int, int]]:
    """The upper left corner of each state: ends stand below each other, at the right."""
    going = [state for state, row in TABLE.items() if row]
    ends = [state for state, row in TABLE.items() if not row]
    middle = 40 + _STEP[1] * (len(ends) - 1) // 2
    places = {state: (10 + _STEP[0] * column, middle) for column, state in enumerate(going)}
    # What is reached from the beginning too stands outside, where its arrow crosses nothing.
    ends.sort(key=lambda end: end is not Status.FAILED)
    order = [ends[0], *[end for end in ends[1:] if end is not Status.CANCELED], Status.CANCELED]
    for row, state in enumerate(order):
        places[state] = (10 + _STEP[0] * len(going), 40 + _STEP[1] * row)
    return places


def _arrow(source: tuple[int, int], target: tuple[int, int], label: str) -> str:
    """The way from a box to another, or back to the same one, with its label."""
    (x, y), (to_x, to_y) = source, target
    width, height = _BOX
    if source == target:
        middle = x + width // 2
        loop = f"M{middle - 26},{y} C{middle - 30},{y - 34} {middle + 30},{y - 34} {middle + 26},{y - 2}"
        return f'<path d="{loop}"/><text class="note" x="{middle}" y="{y - 30}">{label}</text>'
    if to_x - x > _STEP[0]:  # past a column: around it
        edge = y if to_y < y else y + height
        line = f"M{x + width // 2},{edge} V{to_y + height // 2} H{to_x - 2}"
        return f'<path d="{line}"/><text class="note" x="{x + width}" y="{to_y + height // 2 - 7}">{label}</text>'
    start, end = (x + width, y + height // 2), (to_x - 2, to_y + height // 2)
    half = (start[0] + end[0]) // 2
    # Beside the line, on the side from which it does not come.
    place = (
        (half, end[1] - 7)
        if start[1] == end[1]
        else (end[0] - 34, end[1] + (17 if start[1] < end[1] else -7))
    )
    curve = f"M{start[0]},{start[1]} C{half},{start[1]} {half},{end[1]} {end[0]},{end[1]}"
    return f'<path d="{curve}"/><text class="note" x="{place[0]}" y="{place[1]}">{label}</text>'
