"""Memory by tenth of the progress."""

from __future__ import annotations

from itertools import pairwise

import pytest
from bench.memory import PARTS, Mark, memory_of, moments
from bench.meter import Sample
from hypothesis import given
from hypothesis import strategies as st


def samples(*megabytes: int) -> list[Sample]:
    return [Sample(float(second), 0.0, mb << 20) for second, mb in enumerate(megabytes)]


@given(st.lists(st.integers(0, 500), min_size=1).map(sorted))
def test_tenths_end_in_order_and_the_last_ends_with_the_last_row(counts: list[int]) -> None:
    total = max(1, counts[-1])
    marks = [Mark(float(second), rows) for second, rows in enumerate([*counts, total])]
    found = moments(marks, total=total)
    assert len(found) == PARTS
    assert all(a <= b for a, b in pairwise(found))
    assert found[-1] == next(mark.at for mark in marks if mark.rows == total)


def test_a_tenth_ends_when_its_rows_are_seen() -> None:
    marks = [Mark(1.0, 0), Mark(2.0, 25), Mark(3.0, 99), Mark(4.0, 100)]
    assert moments(marks, total=100) == [2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 4.0]


def test_each_part_has_the_median_of_its_samples() -> None:
    found = memory_of(samples(9, 1, 2, 9, 4, 5, 6), [1.0, 3.0, 6.0])
    assert found.start_mb == 1.0
    assert found.tenths_mb == [2.0, 5.5]
    assert found.peak_mb == 9.0


def test_a_part_without_a_sample_has_the_last_one_before_its_end() -> None:
    assert memory_of(samples(3, 8), [0.5, 0.6, 0.7, 1.5]).tenths_mb == [3.0, 3.0, 8.0]


@given(st.lists(st.integers(1, 1000), min_size=1), st.lists(st.floats(-2, 40), min_size=2).map(sorted))
def test_every_part_lies_within_what_was_sampled(megabytes: list[int], edges: list[float]) -> None:
    found = memory_of(samples(*megabytes), edges)
    for value in (found.start_mb, *found.tenths_mb):
        assert min(megabytes) <= value <= max(megabytes)
    assert found.peak_mb == pytest.approx(max(megabytes))
