"""What becomes of the figures of benchmarks/: medians, ratios, the table, the part of the document."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmarks.__main__ import chosen
from benchmarks.contestants import ALL
from benchmarks.document import BEGIN, END, replaced
from benchmarks.launching import Failed
from benchmarks.load import Outcome
from benchmarks.measuring import Result, by_work, summary
from benchmarks.report import missed, ratio, table, verdicts
from benchmarks.rows import ROWS, Goal

TITLES = {each.key: each.title for each in ALL}
ROW = next(row for row in ROWS if row.key == "async")
RESULTS = {
    "async": {
        "ours": Result(9000.0, remark="p99 5 ms", rounds=3),
        "reference": Result(1200.0, refused=0.63, rounds=3),
        "mosec": Result(3000.0, rounds=3),
        "ray": Result(0.0, failure="it does not come up"),
    }
}


def test_the_median_of_the_rounds_and_the_remark_of_the_round_nearest_to_it() -> None:
    rounds = [Outcome(5.0, 0.1, "five"), Outcome(1.0, 0.3, "one"), Outcome(3.0, 0.2, "three")]
    assert summary(rounds) == Result(3.0, 0.2, "three", 3)
    assert summary([*rounds, Outcome(4.0, 0.2, "four")]).figure == 3.5


def test_a_round_that_failed_is_no_figure_but_is_told() -> None:
    assert summary([Outcome(5.0), Failed("why")]) == Result(5.0, rounds=1, failure="why")
    assert summary([Failed("why")]) == Result(0.0, failure="why")


def test_the_ratio_is_this_server_beside_the_other() -> None:
    assert ratio(RESULTS["async"], "mosec") == 3.0
    assert ratio(RESULTS["async"], "") == 9000.0
    assert ratio(RESULTS["async"], "ray") is None  # it has no figure
    assert ratio(RESULTS["async"], "echo") is None
    assert ratio({"mosec": Result(1.0, rounds=1)}, "mosec") is None


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal("", least=2), 2.0, True),
        (Goal("", least=2), 1.99, False),
        (Goal("", most=0.4), 0.4, True),
        (Goal("", most=0.4), 0.41, False),
    ],
)
def test_a_goal_is_met_at_its_border(goal: Goal, value: float, met: bool) -> None:
    assert goal.met(value) is met


def test_the_table_has_a_line_for_each_contestant_and_says_what_was_missed() -> None:
    _, _, *lines = table(ROWS, RESULTS, TITLES).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        [f"{ROW.title} (`async`)", "this server", "9,000 /s", "", "", "", "", "p99 5 ms"],
        ["", "Cog 0.23.1", "1,200 /s", "7.50 x", "≥ 8", "**missed**", "63%", ""],
        ["", "Mosec 0.9.8", "3,000 /s", "3.00 x", "≥ 2", "met", "", ""],
        ["", "Ray Serve 2.60.0", "failed", "", "", "", "", ""],
    ]
    told = missed(verdicts(ROWS, RESULTS), TITLES)
    assert told.splitlines() == [
        "- `async`: 7.50 beside Cog 0.23.1, to reach ≥ 8",
        f"- `async`: no figure beside {TITLES['echo']}, to reach ≥ 0.45",
    ]


def test_all_reached_is_told_too() -> None:
    reached = {"reference": Result(1000.0, rounds=3), "echo": Result(20_000.0, rounds=3)}
    results = {"async": {**RESULTS["async"], **reached}}
    assert missed(verdicts(ROWS, results), TITLES) == "Every goal is reached."


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    document = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\n## After\n"
    assert replaced(document, "new | table\n") == f"# Title\n\n{BEGIN}\n\nnew | table\n\n{END}\n\n## After\n"
    assert replaced(replaced(document, "a"), "b") == replaced(document, "b")


@pytest.mark.parametrize(
    "document", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"]
)
def test_a_document_without_its_marks_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="the document needs one"):
        replaced(document, "new")


def test_the_real_document_has_its_marks() -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
    assert "a new part" in replaced(document.read_text(), "a new part")


def test_the_rows_name_only_contestants_that_are_there() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert set(row.contestants) <= TITLES.keys()
        assert {goal.against for goal in row.goals} <= {"", *row.contestants}


def test_rows_of_one_work_share_a_server() -> None:
    groups = by_work(ROWS)
    assert sum(len(rows) for _, rows in groups) == len(ROWS)
    assert all(row.work is work for work, rows in groups for row in rows)


def test_an_unknown_row_is_refused_with_those_there_are() -> None:
    assert chosen({"a": 1, "b": 2, "c": 3}, "c, a", "row") == [1, 3]
    assert chosen({"a": 1, "b": 2}, None, "row") == [1, 2]
    with pytest.raises(SystemExit, match=r"There is no row d\. There are: a, b"):
        chosen({"a": 1, "b": 2}, "a,d", "row")


def test_the_plot_is_a_picture_of_the_rows_with_others(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.plot import draw

    alone = {"growth": {"ours": Result(1.0, rounds=1)}}
    path = tmp_path / "plot.svg"
    draw(ROWS, {**RESULTS, **alone}, TITLES, path)
    texts = {element.text for element in ElementTree.parse(path).iter() if element.text}
    assert {"9,000 /s", "1,200 /s", "3,000 /s", "this server", "Mosec 0.9.8"} <= texts
    assert "Ray Serve 2.60.0" not in texts  # it has no figure
    first = path.read_bytes()
    draw(ROWS, RESULTS, TITLES, path)
    assert path.read_bytes() == first
