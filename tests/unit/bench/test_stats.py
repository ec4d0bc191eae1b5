"""Medians, ratios, CPU between two moments, and percentiles."""

from itertools import pairwise

import pytest
from bench.latency import summarize
from bench.meter import Sample, assigned_at, cpu_between, peak_mb
from bench.stats import Spread, ratios, spread
from bench.watching import Watch
from hypothesis import given
from hypothesis import strategies as st

positive = st.floats(0.001, 1e9)


@given(st.lists(positive, min_size=1))
def test_a_median_lies_between_the_smallest_and_the_largest(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert (found.low, found.high) == (min(values), max(values))
    assert found.low <= found.median <= found.high


def test_nothing_has_no_spread() -> None:
    assert spread([]) is None


def test_the_median_of_an_even_number_is_the_middle_of_two() -> None:
    assert spread([1.0, 9.0, 2.0, 4.0]) == Spread(3.0, 1.0, 9.0)


def test_ratios_compare_a_round_with_itself_and_skip_rounds_that_failed() -> None:
    assert ratios({0: 10.0, 1: 30.0, 2: 5.0}, {0: 5.0, 1: 10.0}) == [2.0, 3.0]


@given(st.dictionaries(st.integers(0, 20), positive, min_size=1))
def test_a_variant_is_exactly_as_fast_as_itself(rates: dict[int, float]) -> None:
    assert ratios(rates, rates) == [1.0] * len(rates)


SAMPLES = [Sample(1.0, 0.5, 3 << 20), Sample(2.0, 1.0, 9 << 20), Sample(3.0, 4.0, 5 << 20)]


@pytest.mark.parametrize(
    ("start_at", "end_at", "cpu_s"),
    [
        pytest.param(1.0, 3.0, 3.5, id="on the samples"),
        pytest.param(1.9, 3.7, 3.5, id="the last sample not after a moment counts"),
        pytest.param(0.0, 2.0, 0.5, id="before the first sample the first counts"),
        pytest.param(3.0, 1.0, 0.0, id="never negative"),
    ],
)
def test_cpu_is_taken_between_two_moments(start_at: float, end_at: float, cpu_s: float) -> None:
    assert cpu_between(SAMPLES, start_at, end_at) == cpu_s


def test_no_sample_is_no_cpu_and_no_memory() -> None:
    assert (cpu_between([], 0.0, 1.0), peak_mb([])) == (0.0, 0.0)


def test_the_peak_is_the_largest_memory_seen() -> None:
    assert peak_mb(SAMPLES) == 9.0


def test_the_clock_starts_at_the_first_assignment_in_the_log() -> None:
    log = (
        'Traceback: partitions_assigned\n{"event": "worker_starting", "at": "2026-03-01T08:00:00Z"}\n'
        '{"event": "partitions_assigned", "at": "2026-03-01T08:00:01.500000Z"}\n'
        '{"event": "partitions_assigned", "at": "2026-03-01T08:00:09Z"}\n'
    )
    moment = assigned_at(log)
    assert moment is not None
    assert moment % 60 == 1.5
    assert assigned_at("") is None


def test_a_record_is_seen_once_its_offset_is_visible() -> None:
    watch = Watch()
    watch.produced("email.send", 0, 7, 10.0)
    watch.produced("email.send", 0, 8, 10.5)
    watch.produced("email.send", 1, 0, 10.5)
    watch.seen("email.send", 0, 7, 10.2)
    assert watch.latencies_ms == [pytest.approx(200.0)]
    watch.seen("email.send", 0, 9, 11.0)
    watch.seen("email.send", 1, 3, 11.0)
    assert watch.latencies_ms[1:] == [pytest.approx(500.0), pytest.approx(500.0)]
    assert watch.waiting_count == 0


@given(st.lists(st.floats(0.0, 1e6), min_size=2))
def test_percentiles_are_in_order_and_end_at_the_longest(latencies_ms: list[float]) -> None:
    found = summarize(latencies_ms)
    order = [min(latencies_ms), found.p50_ms, found.p95_ms, found.p99_ms, found.longest_ms]
    assert all(a <= b * (1 + 1e-9) + 1e-9 for a, b in pairwise(order))
    assert found.count == len(latencies_ms)
