from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.simulation.expected import WINDOWS_S, next_bucket_s, window_bounds
from postloop.simulation.plan import PlanError, check_times
from tests.unit.simulation.recount import HOUR_MS, START_MS, plan

DAY_MS = 24 * HOUR_MS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"events": 0}, "events must be between", id="no events"),
        pytest.param({"span_ms": 999}, "at least 1s", id="no time"),
        pytest.param({"late": 1.5}, "late is a share", id="share above one"),
        pytest.param({"invalid": -0.1}, "invalid is a share", id="share below zero"),
        pytest.param({"domains": 3, "accounts": 4}, "number of domains", id="more accounts than domains"),
    ],
)
def test_an_impossible_plan_is_refused_with_the_value_and_the_limit(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(PlanError, match=said):
        plan(**options)


@pytest.mark.parametrize("name", ["seed", "events", "start_ms", "span_ms", "domains"])
def test_every_option_makes_another_run(name: str) -> None:
    assert plan().run != plan(**{name: getattr(plan(), name) + 1000}).run


def test_the_marker_of_keys_stays_a_prefix_in_base64() -> None:
    assert len(plan().key_prefix) % 3 == 0


def test_a_time_that_the_recorder_would_refuse_is_refused_before_anything_is_sent() -> None:
    now_ms, retention = START_MS + HOUR_MS, timedelta(days=90)
    check_times(plan(), now_ms=now_ms, retention=retention)
    for start_ms in (now_ms - 88 * DAY_MS, now_ms + 23 * HOUR_MS):
        with pytest.raises(PlanError):
            check_times(plan(start_ms=start_ms), now_ms=now_ms, retention=retention)
    # Without late events nothing reaches further back than the start.
    check_times(plan(start_ms=now_ms - 88 * DAY_MS, late=0), now_ms=now_ms, retention=retention)


@given(st.sampled_from(sorted(WINDOWS_S)), st.integers(10**9, 2 * 10**9))
def test_a_window_has_its_length_and_ends_at_or_before_the_instant(window: str, as_of_s: int) -> None:
    start, end = window_bounds(window, as_of_s)
    bucket_s = 60 if window in ("1h", "24h") else 3600
    assert end - start == WINDOWS_S[window]
    assert end % bucket_s == start % bucket_s == 0
    assert as_of_s - bucket_s < end <= as_of_s


@given(st.integers(10**12, 2 * 10**12), st.sampled_from([60, 3600]))
def test_the_next_bucket_starts_after_the_moment(at_ms: int, bucket_s: int) -> None:
    start_s = next_bucket_s(at_ms, bucket_s)
    assert start_s % bucket_s == 0
    assert at_ms < start_s * 1000 <= at_ms + bucket_s * 1000
