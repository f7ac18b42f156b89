"""A picture of the rows in which others take part. Colours that can be read on white and on black."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measuring import Result, Results
from benchmarks.report import OURS
from benchmarks.rows import Row

_OURS: Final = "#1f6feb"
_OTHERS: Final = "#8a93a3"
_TEXT: Final = "#7a8599"
_COLUMNS: Final = 2


def draw(rows: Sequence[Row], results: Results, titles: Mapping[str, str], path: Path) -> None:
    """Write an SVG file: bars for every row that has figures of at least two contestants."""
    shown = [row for row in rows if len(_figures(results, row)) > 1]
    if not shown:
        return
    lines = -(-len(shown) // _COLUMNS)
    style = mpl.RcParams(
        {
            "svg.hashsalt": "cog",  # the same figures give the same file
            "svg.fonttype": "none",
            "font.size": 9,
            "text.color": _TEXT,
            "axes.edgecolor": _TEXT,
            "xtick.color": _TEXT,
            "ytick.color": _TEXT,
        }
    )
    with mpl.rc_context():
        mpl.rcParams.update(style)
        figure = Figure(figsize=(10, 2.1 * lines), layout="constrained")
        axes = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
        for row, each in zip(shown, axes, strict=False):
            _bars(each, row, _figures(results, row), titles)
        for each in axes[len(shown) :]:
            each.set_axis_off()
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def _figures(results: Results, row: Row) -> dict[str, Result]:
    return {key: each for key, each in results.get(row.key, {}).items() if each.rounds}


def _bars(axes: Axes, row: Row, figures: Mapping[str, Result], titles: Mapping[str, str]) -> None:
    names = [titles[key].partition(" (")[0] for key in figures]
    colors = [_OURS if key == OURS else _OTHERS for key in figures]
    bars = axes.barh(names, [each.figure for each in figures.values()], color=colors)
    axes.bar_label(bars, [row.unit.text(each.figure) for each in figures.values()], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    better = "more is better" if row.unit.more else "less is better"
    title = f"{row.title.replace('`', '')} ({better})"
    axes.set_title("\n".join(textwrap.wrap(title, 52)), loc="left", fontsize=9)
