"""When the broker is emptied, and when it must wait."""

from hypothesis import given
from hypothesis import strategies as st

from postloop.embedded.memory_watch import MEBIBYTE, Step, explain, limit_bytes, next_step
from postloop.settings import Settings

LIMIT = 1000
sizes = st.integers(0, 5 * LIMIT)
lags = st.none() | st.integers(0, 10**9)


@given(used=sizes, lag=lags)
def test_below_the_limit_the_broker_is_never_emptied(used: int, lag: int | None) -> None:
    step = next_step(used_bytes=used, limit_bytes=LIMIT, lag_records=lag)
    assert (step in (Step.NOTHING, Step.WARN)) == (used < LIMIT)


waiting = st.none() | st.integers(1, 10**9)


@given(used=st.integers(LIMIT, 1249), lag=waiting, large_s=st.floats(0, 1e6))
def test_above_the_limit_it_waits_for_what_is_not_stored(used: int, lag: int | None, large_s: float) -> None:
    assert next_step(used_bytes=used, limit_bytes=LIMIT, lag_records=lag, too_large_s=large_s) is Step.WAIT


@given(used=st.integers(1250, 5 * LIMIT), lag=waiting, large_s=st.floats(0, 9.9))
def test_a_burst_gets_some_seconds_to_be_stored(used: int, lag: int | None, large_s: float) -> None:
    assert next_step(used_bytes=used, limit_bytes=LIMIT, lag_records=lag, too_large_s=large_s) is Step.WAIT


@given(used=st.integers(LIMIT, 5 * LIMIT))
def test_above_the_limit_it_is_emptied_when_everything_is_stored(used: int) -> None:
    assert next_step(used_bytes=used, limit_bytes=LIMIT, lag_records=0) is Step.EMPTY


@given(used=st.integers(1250, 5 * LIMIT), lag=waiting, large_s=st.floats(10, 1e6))
def test_far_above_the_limit_for_long_it_is_emptied_whatever_waits(
    used: int, lag: int | None, large_s: float
) -> None:
    step = next_step(used_bytes=used, limit_bytes=LIMIT, lag_records=lag, too_large_s=large_s)
    assert step is Step.EMPTY_AT_A_LOSS


@given(used=st.integers(LIMIT // 2, LIMIT - 1))
def test_from_half_of_the_limit_on_it_warns(used: int) -> None:
    assert next_step(used_bytes=used, limit_bytes=LIMIT, lag_records=None) is Step.WARN


def test_the_limit_is_the_configured_one_or_half_of_the_machine() -> None:
    assert limit_bytes(Settings(memory_limit_mb=512)) == 512 * MEBIBYTE
    assert limit_bytes(Settings(memory_limit_mb=0)) > 128 * MEBIBYTE


def test_a_loss_is_said_with_its_size() -> None:
    text = explain(Step.EMPTY_AT_A_LOSS, used_bytes=2 * MEBIBYTE, limit_bytes=MEBIBYTE, lag_records=1234)
    assert "1,234 records lost" in text
    assert "2 MB of 1 MB" in text
