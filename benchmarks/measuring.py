"""Runs the rows: in each round every contestant starts, is warmed, is loaded, and ends, so nobody idles beside another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contestant import Contestant
from benchmarks.launching import Failed, check
from benchmarks.load import Effort, Outcome
from benchmarks.rows import Row
from benchmarks.works import Work


@dataclass(frozen=True)
class Result:
    """What a contestant has in a row: the median of its rounds; `failure` is why one of them gave nothing."""

    figure: float
    refused: float = 0.0
    remark: str = ""
    rounds: int = 0
    failure: str = ""


Results = Mapping[str, Mapping[str, Result]]
"""By the keys of row and contestant."""


def measure(
    rows: Sequence[Row], contestants: Sequence[Contestant], effort: Effort, tell: Callable[[str], None]
) -> Results:
    """All rounds. Every other one goes through the contestants backwards, since a machine becomes slower and faster."""
    taken: dict[tuple[str, str], list[Outcome | Failed]] = {}
    begun = latest = time.monotonic()
    for number in range(effort.rounds):
        now = time.monotonic()
        if now + (now - latest) - begun > effort.limit:
            tell(f"no time for more than {number} rounds")
            break
        latest = now
        for work, group in by_work(rows):
            due = [row for row in group if row.rounds is None or number < row.rounds]
            for contestant in contestants if number % 2 == 0 else reversed(contestants):
                mine = [row for row in due if contestant.key in row.contestants]
                for _ in range(work.turns if mine else 0):
                    tell(f"round {number + 1} of {effort.rounds}: {contestant.title}, {work.name}")
                    _take(contestant, work, mine, effort, taken)
    return {
        row.key: {
            each.key: summary(taken[row.key, each.key])
            for each in contestants
            if (row.key, each.key) in taken
        }
        for row in rows
    }


def by_work(rows: Iterable[Row]) -> list[tuple[Work, list[Row]]]:
    """The rows of each work together: one server serves them."""
    groups: dict[Work, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.work, []).append(row)
    return list(groups.items())


def _take(
    contestant: Contestant,
    work: Work,
    rows: Sequence[Row],
    effort: Effort,
    taken: dict[tuple[str, str], list[Outcome | Failed]],
) -> None:
    """One turn of one contestant; its failure is part of the results, and no end of the others."""
    left = list(rows)
    try:
        with contestant.start(work) as server:
            while left:
                outcome = left[0].load(
                    server, work, effort if len(left) == len(rows) else effort._replace(warm=0)
                )
                taken.setdefault((left[0].key, contestant.key), []).append(outcome)
                check(server, work)  # still right, and nothing of this load is left
                del left[0]
    except Failed as failure:
        for row in left:
            taken.setdefault((row.key, contestant.key), []).append(failure)


def summary(outcomes: Sequence[Outcome | Failed]) -> Result:
    """The median, with the remark of the round that is nearest to it."""
    good = [each for each in outcomes if isinstance(each, Outcome)]
    failure = next((str(each) for each in outcomes if isinstance(each, Failed)), "")
    if not good:
        return Result(0.0, failure=failure)
    figure = statistics.median(each.figure for each in good)
    nearest = min(good, key=lambda each: abs(each.figure - figure))
    return Result(
        figure, statistics.median(each.refused for each in good), nearest.remark, len(good), failure
    )
