"""Statistics of a step, against how they are defined."""

from __future__ import annotations

import math
import statistics

from hypothesis import given
from hypothesis import strategies as st

from cog.bench import words
from cog.bench.answers import Kind, Outcome
from cog.bench.figures import Latency, Tally, percentile
from cog.bench.plan import Setup

TIMES = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=300)


@given(TIMES, st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_the_smallest_time_that_so_many_did_not_exceed(
    times: list[float], share: float
) -> None:
    found = percentile(sorted(times), share)
    assert found in times
    assert sum(each <= found for each in times) >= share * len(times)
    smaller = [each for each in times if each < found]
    assert len(smaller) < share * len(times)


@given(TIMES)
def test_latencies_are_in_order(times: list[float]) -> None:
    found = Latency.of(times)
    assert found is not None
    assert min(times) <= found.p50 <= found.p90 <= found.p99 <= found.longest == max(times)
    assert math.isclose(found.mean, statistics.fmean(times))


def test_no_answer_has_no_latency() -> None:
    assert Latency.of([]) is None


@given(st.lists(st.sampled_from(list(Kind)), max_size=100))
def test_what_was_refused_or_failed_is_no_throughput(kinds: list[Kind]) -> None:
    tally = Tally()
    for index, kind in enumerate(kinds, 1):
        tally.take(Outcome(kind, "why" if kind is Kind.FAILED else ""), 0.5, 100.0 + index)
    step = tally.step(Setup(), 4, 2, (100.0, 100.0 + len(kinds)), 0.0)
    counts = {kind: kinds.count(kind) for kind in Kind}
    assert (step.answers, step.refused, step.failed) == tuple(counts[kind] for kind in Kind)
    assert step.answers + step.refused + step.failed == tally.count == len(kinds)
    last = max((index for index, kind in enumerate(kinds, 1) if kind is Kind.ANSWERED), default=0)
    assert step.throughput == (counts[Kind.ANSWERED] / last if last else 0.0)
    assert step.failures == ((("why", step.failed),) if step.failed else ())


def test_a_slow_model_is_measured_by_its_whole_predictions() -> None:
    """Three predictions of 2 seconds in a step of 6.6: a half a second, not what the rest of the step would make of it."""
    tally = Tally()
    for index in (1, 2, 3):
        tally.take(Outcome(Kind.ANSWERED, "", 1.9), 2.0, 2.0 * index)
    step = tally.step(Setup(), 1, 1, (0.0, 6.6), 0.0)
    assert (step.throughput, step.seconds) == (0.5, 6.6)
    assert step.model_time is not None
    assert math.isclose(step.model_time, 1.9)


@given(st.floats(1e-4, 1e9))
def test_three_digits_say_a_figure(value: float) -> None:
    text = words.number(value)
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=0.006)
    assert len(text.replace(",", "").replace(".", "").lstrip("0")) == 3 or value >= 999


def test_figures_as_words() -> None:
    assert [words.span(each) for each in (0.000123, 0.0123, 0.9999, 61.26)] == [
        "0.12 ms",
        "12.3 ms",
        "1.00 s",
        "61.3 s",
    ]
    assert [words.size(each) for each in (45, 1536, 32 * 2**20)] == ["45 B", "1.5 KiB", "32 MiB"]
    assert [words.short(each) for each in ("50.0 ms", "0.50 ms", "100", "2.50", "20.0")] == [
        "50 ms",
        "0.5 ms",
        "100",
        "2.5",
        "20",
    ]
    assert [words.plural(count, "process") for count in (1, 2)] == ["1 process", "2 processes"]
    assert words.times(1.94) == "1.9 times"
