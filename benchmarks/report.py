"""The table: medians, what this server is beside each, and what was to be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measuring import Result, Results
from benchmarks.rows import Goal, Row

HEAD = "| work | server | median | this server is | goal | | refused | |\n|---|---|--:|--:|--:|---|--:|---|"
OURS = "ours"


@dataclass(frozen=True)
class Verdict:
    """A goal and what came of it; `ratio` is None where a figure is missing."""

    row: Row
    goal: Goal
    ratio: float | None

    @property
    def met(self) -> bool:
        return self.ratio is not None and self.goal.met(self.ratio)


def ratio(results: Mapping[str, Result], against: str) -> float | None:
    """This server's figure as a multiple of a contestant's, or, against nobody, as it is. None where one is not there."""
    ours = results.get(OURS)
    if ours is None or not ours.rounds:
        return None
    if not against:
        return ours.figure
    other = results.get(against)
    return ours.figure / other.figure if other is not None and other.figure else None


def verdicts(rows: Sequence[Row], results: Results) -> list[Verdict]:
    """Every goal of the rows that were measured."""
    return [
        Verdict(row, goal, ratio(results[row.key], goal.against))
        for row in rows
        if row.key in results
        for goal in row.goals
    ]


def table(rows: Sequence[Row], results: Results, titles: Mapping[str, str]) -> str:
    """Markdown, a line for each contestant of each row that was measured; `titles` are those of the contestants."""
    lines = [HEAD]
    for row in rows:
        first = f"{row.title} (`{row.key}`)"
        for key, result in results.get(row.key, {}).items():
            lines.append(_line(row, first, key, results[row.key], titles[key], result))
            first = ""
    return "\n".join(lines)


def _line(row: Row, first: str, key: str, all: Mapping[str, Result], title: str, result: Result) -> str:
    against = "" if key == OURS else key
    value = ratio(all, against)
    beside = f"{value:.2f} x" if value is not None and key != OURS else ""
    goal = next((goal for goal in row.goals if goal.against == against), None)
    verdict = "" if goal is None or value is None else ("met" if goal.met(value) else "**missed**")
    figure = row.unit.text(result.figure) if result.rounds else "failed"
    refused = f"{result.refused:.0%}" if result.refused else ""
    cells = (first, title, figure, beside, goal.text() if goal else "", verdict, refused, result.remark)
    return f"| {' | '.join(cells)} |"


def missed(found: Sequence[Verdict], titles: Mapping[str, str]) -> str:
    """The goals that are not reached and by how much, a line each; a sentence when there is none."""
    lines = []
    for each in found:
        if not each.met:
            beside = f" beside {titles[each.goal.against]}" if each.goal.against else ""
            value = "no figure" if each.ratio is None else f"{each.ratio:.2f}"
            lines.append(f"- `{each.row.key}`: {value}{beside}, to reach {each.goal.text()}")
    return "\n".join(lines) if lines else "Every goal is reached."
