"""How often rows are counted while a run lasts."""

from bench.running import POLL_S, pause_s
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(-10, 60_000))
def test_the_end_of_a_run_is_seen_to_20_ms_because_the_last_insert_may_come_at_any_moment(
    missing: int,
) -> None:
    assert pause_s(missing=missing) == POLL_S == 0.02


@given(st.integers(60_001, 10**9))
def test_a_server_that_has_much_to_do_is_not_asked_all_the_time(missing: int) -> None:
    assert pause_s(missing=missing) >= 5 * POLL_S
