"""Percentiles of binned delivery times."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.delivery_time import percentile_s

WIDTH = 2 ** (1 / 32)


def bin_of(delay_ms: int) -> int:
    return math.ceil(math.log2(max(delay_ms, 1)) * 16)


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=200), st.integers(1, 100))
def test_it_is_the_value_of_that_rank_within_half_a_bin(delays_ms: list[int], percent: int) -> None:
    counts: dict[int, int] = {}
    for delay_ms in delays_ms:
        counts[bin_of(delay_ms)] = counts.get(bin_of(delay_ms), 0) + 1
    exact_ms = sorted(delays_ms)[math.ceil(len(delays_ms) * percent / 100) - 1]
    found_ms = percentile_s(counts, percent) * 1000
    assert exact_ms / WIDTH / 1.000001 <= found_ms <= exact_ms * WIDTH * 1.000001


def test_the_order_of_the_bins_does_not_matter() -> None:
    assert percentile_s({160: 1, 0: 99}, 50) == pytest.approx(0.00098, abs=1e-5)
    assert percentile_s({160: 1, 0: 99}, 100) == pytest.approx(1.002, abs=0.001)


@pytest.mark.parametrize("counts", [{}, {3: 0}])
def test_of_nothing_there_is_none(counts: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile_s(counts, 50)
