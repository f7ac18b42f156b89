"""What was yielded: the list of all so far at any time, for the memory of its text."""

from __future__ import annotations

import json
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from cog.prediction.chunks import SMALL, Chunks

SIZES = st.sampled_from([0, 1, SMALL - 2, SMALL - 1, SMALL, 1000])


@given(st.lists(st.tuples(st.integers(1, 1500), SIZES, st.booleans()), max_size=6))
def test_it_is_the_list_of_all_so_far(rows: list[tuple[int, int, bool]]) -> None:
    chunks, expected = Chunks(), []
    assert not chunks
    for count, size, look in rows:
        for number in range(count):
            chunks.append(json.dumps("x" * size + str(number % 10)).encode())
            expected.append("x" * size + str(number % 10))
        if look:
            assert json.loads(bytes(chunks)) == expected
    assert json.loads(bytes(chunks)) == expected
    assert bool(chunks) is bool(expected)
    for number in {0, min(1, len(expected)), len(expected) // 2, len(expected)}:
        first, text = chunks.around(number)
        some = json.loads(text)
        assert first <= number <= first + len(some)
        assert some == expected[first : first + len(some)]
        assert (number < first + len(some)) is (number < len(expected))


def test_small_ones_take_little_more_than_their_text() -> None:
    chunks = Chunks()
    tracemalloc.start()
    try:
        for number in range(100_000):
            chunks.append(b'"%06d"' % number)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 100_000 * 9 * 1.3
