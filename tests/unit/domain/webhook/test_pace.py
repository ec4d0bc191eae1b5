"""One endpoint's circuit, rate, slots and health work together."""

from __future__ import annotations

from typing import Any

import pytest

from postloop.domain.webhook.health import Health
from postloop.domain.webhook.pace import Pace
from postloop.domain.webhook.schedule import Answer, judge
from postloop.domain.webhook.transitions import moved, rotated
from tests.unit.domain.webhook.test_endpoints import NOW, endpoint

HOUR_MS = 3_600_000


def attempt(pace: Pace, answer: Answer, *, now_ms: int = NOW) -> bool:
    pace.began("first")
    return pace.ended("first", judge(answer, attempt=1, now_ms=now_ms, jitter=0), now_ms=now_ms)


def made(**fields: Any) -> Pace:
    return Pace(endpoint(**fields), now_ms=NOW)


def test_an_endpoint_earns_slots_by_successes_and_has_one_probe_when_it_failed_for_long() -> None:
    pace = made(concurrency=6)
    assert pace.limit(now_ms=NOW) == 4
    for _ in range(5):
        attempt(pace, Answer(status=200))
    assert pace.limit(now_ms=NOW) == 9
    for _ in range(3):
        attempt(pace, Answer(status=200))
    assert pace.limit(now_ms=NOW) == 12  # six that may run, and as many that stand ready
    for _ in range(20):
        attempt(pace, Answer(status=500))
    assert pace.limit(now_ms=NOW) == 0
    wakes_ms = pace.wakes_ms(now_ms=NOW)
    assert wakes_ms is not None
    assert pace.limit(now_ms=wakes_ms) == 1
    assert attempt(pace, Answer(status=204), now_ms=wakes_ms) is False
    assert pace.limit(now_ms=wakes_ms) > 1


def test_our_own_trouble_changes_nothing() -> None:
    pace = made()
    for hour in range(200):
        assert attempt(pace, Answer(error="dns_failed"), now_ms=NOW + hour * HOUR_MS) is False
    assert pace.limit(now_ms=NOW) == 4
    assert pace.health == Health()


def test_five_days_of_failures_ask_for_its_end_also_over_a_change_of_owner() -> None:
    pace = made()
    ends = [attempt(pace, Answer(status=500), now_ms=NOW + hour * HOUR_MS) for hour in range(0, 60, 5)]
    pace = Pace(pace.endpoint, now_ms=NOW, health=pace.health)
    ends += [attempt(pace, Answer(status=500), now_ms=NOW + hour * HOUR_MS) for hour in range(60, 125, 5)]
    assert ends == [False] * 24 + [True]


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_nothing_is_read_for_an_endpoint_that_gets_nothing(state: str) -> None:
    assert made(state=state).limit(now_ms=NOW) == 0


def test_a_rate_lets_attempts_begin_when_their_tokens_come() -> None:
    pace = made(rate_limit_per_s=2.0)
    assert pace.queue(first_due=9, late_due=0, now_ms=NOW).allowance == 2
    pace.began("first", 2)
    assert pace.queue(first_due=9, late_due=0, now_ms=NOW).allowance == 0
    assert pace.wakes_ms(now_ms=NOW) == NOW + 500
    found = pace.queue(first_due=9, late_due=1, now_ms=NOW + 500)
    assert (found.allowance, found.running, found.limit) == (1, 2, 4)


def test_an_attempt_that_was_abandoned_frees_its_slot() -> None:
    pace = made()
    pace.began("late")
    pace.abandoned("late")
    assert (pace.first_running, pace.late_running) == (0, 0)


def failing_for_days() -> Pace:
    pace = made()
    for hour in range(121):
        is_hopeless = attempt(pace, Answer(status=500), now_ms=NOW + hour * HOUR_MS)
    assert is_hopeless
    return pace


@pytest.mark.parametrize("is_new_owner", [True, False], ids=["a new owner", "the same owner"])
def test_an_endpoint_that_was_disabled_and_resumed_begins_anew(is_new_owner: bool) -> None:
    """Its next failure disabled it again, with an open circuit before that."""
    pace = failing_for_days()
    resumed_ms = NOW + 122 * HOUR_MS
    disabled = moved(pace.endpoint, "disable", now_ms=NOW + 120 * HOUR_MS, cause="failing")
    resumed = moved(disabled, "resume", now_ms=resumed_ms)
    if is_new_owner:
        pace = Pace(resumed, now_ms=resumed_ms, health=pace.health)
    else:
        pace.take(resumed)
    assert pace.limit(now_ms=resumed_ms) == 4
    for hour in range(119):
        assert attempt(pace, Answer(status=500), now_ms=resumed_ms + hour * HOUR_MS) is False
    assert attempt(pace, Answer(status=500), now_ms=resumed_ms + 121 * HOUR_MS) is True


def test_another_change_of_an_endpoint_forgets_no_failures() -> None:
    pace = failing_for_days()
    pace.take(rotated(pace.endpoint, "whsec_" + "a" * 40, now_ms=NOW))
    assert attempt(pace, Answer(status=500), now_ms=NOW + 121 * HOUR_MS) is True
