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
    """A goal and what came of it."""

    row: Row
    goal: Goal
    ratio: float

    @property
    def met(self) -> bool:
        return self.goal.met(self.ratio)


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
    """Every goal that there are figures for."""
    found = []
    for row in rows:
        for goal in row.goals:
            value = ratio(results.get(row.key, {}), goal.against)
            if value is not None:
                found.append(Verdict(row, goal, value))
    return found


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
    """The goals that are not reached and by how much, a line each; a word when there is none."""
    lines = [
        f"- `{each.row.key}`: {each.ratio:.2f}{f' of {titles[each.goal.against]}' if each.goal.against else ''}, "
        f"to reach {each.goal.text()}"
        for each in found
        if not each.met
    ]
    return "\n".join(lines) if lines else "Every goal is reached."
