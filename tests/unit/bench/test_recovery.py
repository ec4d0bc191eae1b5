"""What counts as lost, repeated and caught up under kills."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from bench.recovery import Sent, differences
from bench.watching import Watch
from bench.workload import Plan, generate
from hypothesis import given
from hypothesis import strategies as st

START_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
ids = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, min_size=1)


@given(ids, st.randoms())
def test_the_same_events_in_any_order_are_no_difference(sent: list[str], rng: object) -> None:
    stored = list(sent)
    rng.shuffle(stored)  # type: ignore[attr-defined]
    assert differences(sent, stored) == []


@given(ids, st.data())
def test_a_lost_a_repeated_and_a_foreign_event_are_each_told(sent: list[str], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(sent))
    assert differences(sent, [x for x in sent if x != one]) == [f"1 events are missing, the first is {one}"]
    assert differences(sent, [*sent, one]) == [f"1 events are stored more than once, the first is {one}"]
    assert differences(sent, [*sent, "other"]) == [
        "1 events are stored and were never sent, the first is other"
    ]


def test_what_is_sent_is_noted_before_it_is_yielded() -> None:
    sent, plan = Sent(), Plan(event_count=50, start_at=START_AT, invalid_share=0.0)
    for number, record in enumerate(sent.noting(generate(plan)), start=1):
        assert len(sent.event_ids) == number == sent.tally.record_count
        assert json.loads(record.value)["event_id"] == sent.event_ids[-1]
    assert sent.tally.counts.rows == 50


def test_the_lag_is_the_age_of_the_oldest_record_that_was_not_seen() -> None:
    watch = Watch()
    assert watch.lag_s(10.0) == 0.0
    watch.produced("email.send", 0, 1, 10.0)
    watch.produced("email.send", 1, 5, 10.5)
    assert watch.lag_s(12.0) == pytest.approx(2.0)
    watch.seen("email.send", 0, 1, 12.0)
    assert watch.lag_s(12.0) == pytest.approx(1.5)
    watch.seen("email.send", 1, 9, 12.0)
    assert watch.lag_s(12.0) == 0.0
    watch.produced("email.send", 1, 10, 13.0)
    assert watch.lag_s(12.5) == 0.0
