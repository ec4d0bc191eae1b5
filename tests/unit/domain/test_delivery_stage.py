"""A message is on time, late, or lost: by an injected clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.delivery_time import Stage, stage_of

SENT = datetime(2026, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
MINUTES_5, HOURS_72 = timedelta(seconds=300), timedelta(hours=72)


@pytest.mark.parametrize(
    ("final_after", "now_after", "stage"),
    [
        pytest.param(timedelta(0), timedelta(hours=1), "on_time", id="at once"),
        pytest.param(-MINUTES_5, timedelta(hours=1), "on_time", id="clocks that disagree"),
        pytest.param(MINUTES_5, timedelta(hours=1), "on_time", id="300 s is on time"),
        pytest.param(MINUTES_5 + MS, timedelta(hours=1), "delayed", id="a moment later is delayed"),
        pytest.param(HOURS_72 + MS, timedelta(days=9), "delayed", id="an end that comes after all"),
        pytest.param(None, MINUTES_5, "awaited", id="nothing yet, and in time"),
        pytest.param(None, MINUTES_5 + MS, "overdue", id="nothing yet"),
        pytest.param(None, HOURS_72, "overdue", id="72 h is not lost"),
        pytest.param(None, HOURS_72 + MS, "lost", id="later is lost"),
        pytest.param(HOURS_72 + MS, HOURS_72, "overdue", id="an end in the future was not heard of"),
    ],
)
def test_the_time_since_sending_decides(
    final_after: timedelta | None, now_after: timedelta, stage: Stage
) -> None:
    final_at = None if final_after is None else SENT + final_after
    assert stage_of(sent_at=SENT, final_at=final_at, now=SENT + now_after) == stage


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_final_event_is_never_taken_back(final_ms: int, first_ms: int, later_ms: int) -> None:
    final_at, first, later = (SENT + n * MS for n in (final_ms, first_ms, first_ms + later_ms))
    stage = stage_of(sent_at=SENT, final_at=final_at, now=first)
    if stage in ("on_time", "delayed"):
        assert stage_of(sent_at=SENT, final_at=final_at, now=later) == stage
