"""When a hold ends, and when the next one may begin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from postloop.domain.incident import (
    DEFAULT_GUARD_POLICY,
    GuardPolicy,
    IncidentEnded,
    IncidentStarted,
    ProviderState,
    Pulse,
    Verdict,
    decide_by_operator,
    observe,
    tick,
)
from tests.unit.domain.incident_traffic import (
    ends,
    experienced,
    minute,
    play,
    pulse,
    refused_mail,
    starts,
    usual_mail,
)

POLICY = DEFAULT_GUARD_POLICY


def _held() -> tuple[ProviderState, str]:
    state, told = play(experienced(), range(3), refused_mail)
    return state, starts(told)[0].incident_id


def test_a_hold_ends_after_six_hours_and_none_begins_while_the_excess_lasts() -> None:
    state, told = play(experienced(), range(9 * 60), refused_mail)

    assert [type(t) for t in told] == [IncidentStarted, IncidentEnded]
    assert (ends(told)[0].cause, ends(told)[0].verdict) == ("limit", "discard")
    assert ends(told)[0].ended_ms == starts(told)[0].detected_ms + POLICY.max_hold_ms

    state, told = play(state, range(9 * 60, 9 * 60 + 15), usual_mail)
    assert not told
    state, told = play(state, range(9 * 60 + 15, 9 * 60 + 18), refused_mail)
    assert starts(told)[0].started_ms == minute(9 * 60 + 15)


def test_silence_ends_a_hold_at_the_limit_and_not_before() -> None:
    state, _ = _held()
    assert state.incident is not None
    limit_ms = state.incident.detected_ms + POLICY.max_hold_ms

    assert tick(state, POLICY, limit_ms - 1) == (state, ())
    after, (ended,) = tick(state, POLICY, limit_ms)
    assert isinstance(ended, IncidentEnded)
    assert ended.cause == "limit"
    assert tick(after, POLICY, limit_ms + 1) == (after, ())


def test_an_excess_that_lasts_for_days_becomes_usual() -> None:
    def worse(number: int) -> list[Pulse]:
        return [pulse(number, f"a{i % 6}", f"d{i}.example", 20, 6) for i in range(12)]

    state, told = play(experienced(), range(36 * 60), worse)
    assert [type(t) for t in told] == [IncidentStarted, IncidentEnded]
    assert state.is_armed

    _, told = play(state, range(36 * 60, 36 * 60 + 6), refused_mail)
    assert starts(told)


@pytest.mark.parametrize("verdict", ["discard", "release"])
def test_an_operator_ends_a_hold_at_once_and_it_stays_ended(verdict: Verdict) -> None:
    state, incident_id = _held()

    state, (ended,) = decide_by_operator(state, incident_id, verdict, minute(3))
    assert isinstance(ended, IncidentEnded)
    assert (ended.cause, ended.verdict, ended.ended_ms) == ("operator", verdict, minute(3))
    assert decide_by_operator(state, incident_id, verdict, minute(4)) == (state, ())

    _, told = play(state, range(3, 60), refused_mail)
    assert not told


def test_an_operator_who_names_another_incident_changes_nothing() -> None:
    state, incident_id = _held()

    assert decide_by_operator(state, incident_id + "x", "release", minute(3)) == (state, ())


def test_another_outage_is_another_incident() -> None:
    state, told = play(experienced(), range(5), refused_mail)
    state, more = play(state, range(5, 20), usual_mail)
    _, again = play(state, range(20, 25), refused_mail)

    first, second = starts([*told, *more, *again])
    assert ends(more)
    assert first.incident_id != second.incident_id
    assert second.started_ms == minute(20)


def test_a_mailing_to_a_dead_list_during_a_hold_is_no_reason_to_end_it() -> None:
    state, _ = _held()

    _, told = play(state, range(3, 60), lambda k: [*usual_mail(k), pulse(k, "bad", "bad.example", 200, 200)])

    assert not told


def _few_mails(number: int) -> list[Pulse]:
    return [pulse(number, f"a{i}", f"d{i}.example", 1, 0) for i in range(6)]


def test_an_outage_soon_after_another_with_little_mail_between_starts_after_it() -> None:
    state, _ = play(experienced(), range(5), refused_mail)
    state, more = play(state, range(5, 16), _few_mails)
    assert ends(more)

    _, again = play(state, range(16, 19), refused_mail)

    assert starts(again)[0].started_ms == minute(16)


def test_an_outage_after_a_decision_and_little_mail_starts_after_what_was_decided() -> None:
    state, incident_id = _held()
    state, _ = decide_by_operator(state, incident_id, "discard", minute(3))
    state, _ = play(state, range(3, 10), refused_mail)
    state, _ = play(state, range(10, 21), _few_mails)
    assert state.is_armed

    _, told = play(state, range(21, 24), refused_mail)

    assert starts(told)[0].started_ms == minute(21)


def test_minutes_of_a_hold_begin_no_other_however_short_the_calm() -> None:
    policy = GuardPolicy(calm_minutes=1)
    state, told = play(experienced(), range(5), refused_mail, policy)
    _, more = play(state, range(5, 12), usual_mail, policy)

    assert [type(t) for t in [*told, *more]] == [IncidentStarted, IncidentEnded]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(lambda k: [pulse(k, "a", "a.example", 1, 0)], id="too-little-mail-to-tell"),
        pytest.param(
            lambda k: [pulse(k, f"a{i}", f"d{i}.example", 100, 15) for i in range(5)], id="still-raised"
        ),
        pytest.param(
            lambda k: [*usual_mail(k), *([pulse(k, "a", "a.example", 100, 100)] if k % 10 == 0 else [])],
            id="now-and-then-a-minute-of-excess",
        ),
    ],
)
def test_a_hold_goes_on_until_the_rate_is_surely_back(after: Callable[[int], list[Pulse]]) -> None:
    state, _ = _held()

    _, told = play(state, range(3, 60), after)

    assert not told


def test_an_end_counts_what_happened_since_the_start() -> None:
    state, _ = play(experienced(), range(-10, 0), usual_mail)
    state, told = play(state, range(3), refused_mail)
    late = [*usual_mail(-2), *refused_mail(1)]
    state, _ = observe(state, late, POLICY, minute(3))

    _, (ended,) = decide_by_operator(state, starts(told)[0].incident_id, "discard", minute(3))

    assert isinstance(ended, IncidentEnded)
    assert (ended.outcome_count, ended.hard_count) == (4 * 240, 4 * 216)
