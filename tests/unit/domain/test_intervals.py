"""Wilson's bounds: around the rate, inside 0 to 1, narrower with more cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.intervals import wilson

counts = st.integers(1, 10**7)


@given(counts, st.data())
def test_the_bounds_lie_around_the_rate_and_between_0_and_1(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    low, high = wilson(hits, count)
    assert 0 <= low <= hits / count + 1e-12
    assert hits / count - 1e-12 <= high <= 1


@given(st.integers(1, 10**5), st.data())
def test_ten_times_the_cases_at_the_same_rate_are_surer(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    few, many = wilson(hits, count), wilson(10 * hits, 10 * count)
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        pytest.param(1, 10, 0.018, 0.404, id="one in ten"),
        pytest.param(50, 1_000, 0.038, 0.065, id="fifty in a thousand"),
        pytest.param(0, 300, 0.0, 0.0126, id="none in three hundred"),
        pytest.param(0, 0, 0.0, 1.0, id="nothing seen: anything is possible"),
        pytest.param(7, 5, 0.5655, 1.0, id="feedback of older mail"),
    ],
)
def test_published_values(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-4)
