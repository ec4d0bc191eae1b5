"""When nearly everything is invalid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postloop_streams.recorder.invalid_limit import InvalidLimit


def test_a_window_of_nothing_but_invalid_records_stops_with_the_figures_and_what_to_do() -> None:
    limit = InvalidLimit(max_ratio=0.95, window=100)
    assert limit.exceeded_by(records=99, invalid=99) is None
    reason = limit.exceeded_by(records=1, invalid=1)
    assert (
        reason is not None
        and "100 of the last 100" in reason
        and "95%" in reason
        and "deadletter list" in reason
    )


@given(st.lists(st.integers(1, 50), min_size=1))
def test_a_stream_with_one_good_record_in_ten_never_stops(sizes: list[int]) -> None:
    limit = InvalidLimit(max_ratio=0.95, window=100)
    assert all(limit.exceeded_by(records=10 * n, invalid=9 * n) is None for n in sizes)


def test_what_was_before_the_window_does_not_count() -> None:
    limit = InvalidLimit(max_ratio=0.95, window=100)
    assert limit.exceeded_by(records=100, invalid=0) is None
    assert limit.exceeded_by(records=100, invalid=100) is not None
