"""What became of a message: the newest final event decides, whatever order events are heard in."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.message import MessageEvent, State, judge
from tests.unit.domain.message.mail import any_events, any_moment, at, event, events_of

HOUR_S = 3_600


@pytest.mark.parametrize(
    ("events", "now_s", "state"),
    [
        pytest.param([event("accepted"), event("delivered", 2)], 9, "delivered", id="delivered"),
        pytest.param([event("accepted")], 300, "on_its_way", id="300 s are on time"),
        pytest.param([event("accepted")], 301, "delayed", id="later is delayed"),
        pytest.param([event("accepted")], 72 * HOUR_S, "delayed", id="up to 72 h"),
        pytest.param([event("accepted")], 72 * HOUR_S + 1, "lost", id="longer is lost"),
        pytest.param([event("deferral", 60)], 61, "on_its_way", id="a deferral is nothing final"),
        pytest.param([event("deferral", 60, sent_at=at(0))], 301, "delayed", id="late since it was sent"),
        pytest.param([event("hard_bounce", 5)], 9, "bounced_hard", id="a bounce alone"),
        pytest.param([event("accepted"), event("soft_bounce", 5)], 9, "bounced_soft", id="soft"),
        pytest.param(
            [event("delivered", 2), event("hard_bounce", 900)],
            1000,
            "bounced_hard",
            id="replaces the delivery",
        ),
        pytest.param(
            [event("delivered", 2), event("soft_bounce", 2)], 9, "bounced_soft", id="so at the same instant"
        ),
        pytest.param(
            [event("soft_bounce", 2), event("delivered", 900)], 1000, "delivered", id="tried again after all"
        ),
        pytest.param([event("rejected")], 9, "refused", id="refused by the platform"),
        pytest.param([event("suppressed")], 9, "suppressed", id="stopped by the blocklist"),
        pytest.param([event("rejected"), event("accepted", 5)], 9, "on_its_way", id="sent again"),
        pytest.param(
            [event("rejected"), event("accepted", 5)], 306, "delayed", id="waits since the second try"
        ),
        pytest.param(
            [event("rejected"), event("delivered", 5)], 9, "delivered", id="sent again, and arrived"
        ),
        pytest.param([event("open", 50)], 99, "delivered", id="what was opened has arrived"),
        pytest.param([event("complaint", 50)], 99, "delivered", id="what was complained about has arrived"),
        pytest.param([event("hard_bounce", 5), event("open", 50)], 99, "bounced_hard", id="a bounce stands"),
        pytest.param(
            [event("authentication_report", 5)], 9, "on_its_way", id="forged mail proves no delivery"
        ),
    ],
)
def test_what_became_of_a_message(events: list[MessageEvent], now_s: float, state: State) -> None:
    assert judge(events, now=at(now_s)).state == state


@given(any_events, any_moment, st.randoms())
def test_order_and_repetition_change_nothing(events: list[MessageEvent], now: datetime, rng: object) -> None:
    unique = list({(e.event_type, e.event_id): e for e in events}.values())
    shuffled = [*unique, *unique[:3]]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge(shuffled, now=now) == judge(unique, now=now)


@given(any_events, any_moment)
def test_every_message_has_a_verdict_and_every_event_a_place(
    events: list[MessageEvent], now: datetime
) -> None:
    found = judge(events, now=now)
    assert found.state in get_args(State)
    assert len(found.events) == len({(event.event_type, event.event_id) for event in events})
    assert [event.occurred_at for event in found.events] == sorted(
        event.occurred_at for event in found.events
    )


@given(any_events, any_moment)
def test_a_newer_bounce_is_the_outcome(events: list[MessageEvent], now: datetime) -> None:
    newest = max(event.occurred_at for event in events)
    last = event("hard_bounce", (newest - at(0)).total_seconds() + 1)
    found = judge([*events, last], now=now)
    assert found.state == "bounced_hard"
    assert found.is_replaced == any(event.outcome == "delivered" for event in events)


@given(st.lists(events_of("accepted", "deferral"), min_size=1, max_size=3), any_moment)
def test_without_a_final_event_time_alone_moves_a_message_on(
    events: list[MessageEvent], now: datetime
) -> None:
    order = ["on_its_way", "delayed", "lost"]
    states = [judge(events, now=moment).state for moment in (now, now.replace(year=2027))]
    assert order.index(states[0]) <= order.index(states[1]) == 2


def test_a_late_delivery_says_so() -> None:
    assert judge([event("accepted"), event("delivered", 301)], now=at(999)).is_late
    assert not judge([event("accepted"), event("delivered", 300)], now=at(999)).is_late


def test_a_message_without_events_is_not_known() -> None:
    with pytest.raises(ValueError, match="without events"):
        judge([], now=at(0))
