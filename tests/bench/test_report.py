"""The report and its plots, as text; how they look is for a browser (tests/cli/test_bench_report.py)."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bench.steps import step, subject
from cog.bench import scale
from cog.bench.advice import recommend
from cog.bench.figures import Step
from cog.bench.plan import Setup
from cog.bench.report import page
from cog.bench.results import Results
from cog.bench.subject import Style

POSITIVE = st.lists(st.floats(1e-5, 1e8), min_size=1, max_size=12)


@given(POSITIVE)
def test_every_figure_has_its_place_on_a_scale(values: list[float]) -> None:
    for made in (scale.from_zero(values), scale.decades(values), scale.doublings(values)):
        assert all(-1e-6 <= made.place(value) <= 1 + 1e-6 for value in values)
        assert list(made.ticks) == sorted(set(made.ticks))
        assert all(-1e-6 <= made.place(tick) <= 1 + 1e-6 for tick in made.ticks)
        assert 1 <= len(made.ticks) <= 20


@given(POSITIVE)
def test_a_larger_figure_is_further_up(values: list[float]) -> None:
    ordered = sorted(values)
    for made in (scale.from_zero(values), scale.decades(values)):
        places = [made.place(value) for value in ordered]
        assert places == sorted(places)


def test_round_numbers_stand_at_the_edge() -> None:
    assert scale.from_zero([84.0]).ticks == (0, 20, 40, 60, 80, 100)
    assert scale.decades([0.021, 0.06]).ticks == (0.02, 0.05, 0.1)
    assert scale.doublings([1, 2, 4]).ticks == (1, 2, 4)


class Words(HTMLParser):
    """All text of a page, and whether its elements are closed in order."""

    EMPTY = ("meta", "line", "circle", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def results(steps: list[Step], style: Style = "sync") -> Results:
    found = subject(style)
    return Results(found, tuple(steps), recommend(found, steps), "2026-01-02T03:04:05+00:00")


STEPS = [
    step(
        n,
        40.0 * min(n, threads),
        Setup(threads),
        slots=threads,
        refused=n // 8,
        failures=(('<b>&"bad"</b>', 1),),
    )
    for threads in (1, 2)
    for n in (1, 2, 4, 8)
]


def test_the_page_stands_alone() -> None:
    text = page(results(STEPS))
    found = Words(text)
    assert found.open == []
    assert "script" not in found.tags
    assert not re.search(r"""(src|href)=|url\(|@import""", text)
    for wanted in (
        "run.py:Runner",
        "--threads 2",
        "Throughput, answers a second",
        "2026-01-02 03:04:05 UTC",
        "2 processes, p99",
    ):
        assert wanted in found.text


def test_what_a_model_says_is_text() -> None:
    text = page(results(STEPS))
    assert '<b>&"bad"' not in text
    assert '<b>&"bad"</b>' in Words(text).text


def test_every_step_is_a_row_and_a_place_on_both_plots() -> None:
    text = page(results(STEPS))
    assert text.count("<tr") == 1 + len(STEPS)
    plots = re.findall(r'<svg class="plot" viewBox="0 0 560.*?</svg>', text, re.DOTALL)
    assert len(plots) == 2
    for plot, lines in zip(plots, (1, 2), strict=True):
        drawn = ElementTree.fromstring(plot)
        assert len(drawn.findall("circle")) == lines * len(STEPS)
        assert all(
            0 <= float(dot.attrib["cx"]) <= 560 and 0 <= float(dot.attrib["cy"]) <= 320
            for dot in drawn.iter("circle")
        )


def test_one_step_alone_and_none_that_was_answered() -> None:
    assert Words(page(results([step(1, 10)]))).open == []
    empty = Words(page(results([step(1, 0, failures=(("no", 3),))])))
    assert empty.open == []
    assert "No request was answered" in empty.text


def test_columns_in_which_nothing_stands_are_left_out() -> None:
    assert "<th>refused</th>" in page(results(STEPS))
    plain = page(results([step(1, 10), step(2, 20)]))
    for head in ("refused", "failed", "batches of", "in a batch", "processes"):
        assert f"<th>{head}</th>" not in plain


def test_results_as_json() -> None:
    document = json.loads(json.dumps(results(STEPS).document()))
    assert document["model"]["name"] == "run.py:Runner"
    first = document["steps"][0]
    assert (first["threads"], first["batch_size"], first["concurrency"], first["throughput"]) == (
        1,
        None,
        1,
        40.0,
    )
    assert first["failures"] == [{"error": '<b>&"bad"</b>', "count": 1}]
    assert first["latency"].keys() == {"p50", "p90", "p99", "mean", "longest"}
    assert {each["setting"] for each in document["recommendations"]} >= {"--threads 2"}


def test_the_legend_says_what_differs() -> None:
    steps = [step(n, n * size, Setup(1, size), slots=1) for size in (1, 8) for n in (1, 2)]
    text = Words(page(results(steps))).text
    assert "batches of 8, p99" in text
    assert "1 process" not in text
