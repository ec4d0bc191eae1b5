"""An interval holds the true rate as often as it promises."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.intervals import corrected_lower, corrected_wilson, wilson_lower, wilson_upper

Z = 1.96


def tail(hit_count: int, count: int, rate: float) -> float:
    """Return how probable so many hits or more are, exactly."""
    return 1 - sum(comb(count, k) * rate**k * (1 - rate) ** (count - k) for k in range(hit_count))


@pytest.mark.parametrize(
    ("hit_count", "count", "low", "high"),
    [
        pytest.param(1, 10, 0.018, 0.404, id="one of ten"),
        pytest.param(2, 301, 0.0018, 0.024, id="two of Tencent's smallest day"),
        pytest.param(50, 1_000, 0.038, 0.065, id="fifty of a thousand"),
        pytest.param(30, 10_000, 0.0021, 0.0043, id="thirty of ten thousand"),
    ],
)
def test_the_plain_bounds_are_wilsons(hit_count: int, count: int, low: float, high: float) -> None:
    rate = hit_count / count
    assert wilson_lower(rate, count, z=Z) == pytest.approx(low, rel=0.03)
    assert wilson_upper(rate, count, z=Z) == pytest.approx(high, rel=0.03)


@pytest.mark.parametrize("count", [20, 100, 301, 1_000])
def test_the_corrected_lower_bound_is_wrong_in_one_of_twenty_cases_at_most(count: int) -> None:
    hits = range(1, min(41, count))
    errors = [tail(k, count, corrected_lower(hit_count=k, count=count, z=Z)) for k in hits]
    assert max(errors) <= 0.0511
    assert max(errors[3:]) <= 0.042


def test_the_plain_lower_bound_would_be_wrong_three_times_as_often() -> None:
    assert tail(1, 301, wilson_lower(1 / 301, 301, z=Z)) > 0.15


@given(st.integers(0, 5_000), st.integers(1, 5_000), st.floats(0.1, 5))
def test_an_interval_holds_what_was_seen_and_lies_between_0_and_1(hit: int, more: int, z: float) -> None:
    low, high = corrected_wilson(hit_count=hit, count=hit + more, z=z)
    assert 0 <= low <= hit / (hit + more) <= high <= 1


@given(st.integers(0, 5_000), st.integers(1, 5_000))
def test_more_hits_raise_the_lower_bound_and_more_misses_reduce_it(hit: int, more: int) -> None:
    low = corrected_lower(hit_count=hit, count=hit + more, z=Z)
    assert corrected_lower(hit_count=hit + 1, count=hit + more, z=Z) > low
    assert corrected_lower(hit_count=hit, count=hit + more + 1, z=Z) <= low


@pytest.mark.parametrize(("hit_count", "count"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_have_no_interval(hit_count: int, count: int) -> None:
    with pytest.raises(ValueError, match="hit_count is between 0 and count"):
        corrected_wilson(hit_count=hit_count, count=count, z=Z)
