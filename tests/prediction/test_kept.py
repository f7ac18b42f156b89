"""What is kept of logs and metrics: bounded, in constant time for each."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from cog.prediction import logs
from cog.prediction.events import Metric
from cog.prediction.logs import LogText
from cog.prediction.metrics import LIMIT, NOTICE, Meter


@given(
    st.lists(st.text(alphabet="ab\n", max_size=40), max_size=60),
    st.integers(1, 60).map(lambda half: 2 * half),
    st.booleans(),
)
def test_the_beginning_and_the_end_are_kept(texts: list[str], limit: int, look: bool) -> None:
    log = LogText(limit)
    for text in texts:
        log.append(text)
        if look:
            str(log)
    whole = "".join(texts)
    if len(whole) <= limit:
        assert str(log) == whole
        return
    half = limit // 2
    notice = f"\n[... {len(whole) - limit:,} characters of logs were cut here ...]\n"
    assert str(log) == whole[:half] + notice + whole[-half:]


def test_small_texts_take_no_more_than_their_characters() -> None:
    log = LogText()
    tracemalloc.start()
    try:
        for number in range(100_000):
            log.append(f"{number % 10}\n")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 500_000


def test_a_large_first_block_of_the_end_is_not_copied_for_each_text() -> None:
    log = LogText()
    log.append("x" * (logs.LIMIT // 2))
    log.append("y" * (logs.LIMIT // 2))
    for _ in range(100_000):
        log.append("zz")
    assert str(log).endswith("yzz" + "zz" * 99_999)


def test_metrics_have_room_for_what_is_there_not_for_what_was_there() -> None:
    values: dict[str, object] = {}
    meter = Meter()
    for number in range(100):
        assert meter.record(values, Metric("same", str(number) * 1_000_000)) is None
    assert meter.record(values, Metric("same", None)) is None
    assert values == {}
    assert meter.record(values, Metric("large", "x" * (LIMIT - 1000))) is None
    assert meter.record(values, Metric("more", "x" * (LIMIT // 2))) == NOTICE
    assert meter.record(values, Metric("later", 1)) == ""  # said once
    assert list(values) == ["large"]


def test_many_small_metrics_are_bounded() -> None:
    values: dict[str, object] = {}
    meter = Meter()
    taken = sum(meter.record(values, Metric(f"m{number}", number)) is None for number in range(300_000))
    assert 100_000 < taken < 400_000
    appended: dict[str, object] = {}
    meter = Meter()
    taken = sum(meter.record(appended, Metric("a.b", number, "append")) is None for number in range(300_000))
    assert 100_000 < taken < 400_000
