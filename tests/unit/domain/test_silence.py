"""Feedback that stops while mail flows is told of; quiet hours, small senders and missing mail are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.domain.alert import DeliveryAlert, Scope, describe
from postloop.domain.errors import DataError
from postloop.domain.silence import (
    DEFAULT_SILENCE_POLICY,
    Feedback,
    FeedbackHour,
    SilencePolicy,
    SilenceState,
    observe,
    silence_probability,
    state_from_plain,
    state_to_plain,
)

POLICY = DEFAULT_SILENCE_POLICY
HOUR_MS = 3_600_000
T0_MS = 1_790_000_000_000 - 1_790_000_000_000 % (24 * HOUR_MS)
SCOPE = Scope(account_id="acme", sender_domain="mail.acme.example")


def hour(number: int, mail: int, seen: int) -> FeedbackHour:
    return FeedbackHour(at_ms=T0_MS + number * HOUR_MS, mail_count=mail, seen_count=seen)


def day_rhythm(number: int) -> float:
    """Return how busy an hour is: nights at a tenth, weekends at half."""
    busy = 1.0 if 7 <= number % 24 < 22 else 0.1
    return busy * (0.5 if number // 24 % 7 in (5, 6) else 1.0)


def traffic(
    seed: int, *, days: int, mail: float, rate: float, day_shape: float = 15.0, first_day: int = 0
) -> Iterator[FeedbackHour]:
    """Yield hours of a sender whose rate of feedback differs from day to day."""
    rng = np.random.default_rng(seed)
    for day in range(first_day, first_day + days):
        of_day = rate * rng.gamma(day_shape, 1 / day_shape)
        for number in range(24 * day, 24 * (day + 1)):
            sent = int(rng.poisson(mail * day_rhythm(number)))
            yield hour(number, sent, int(rng.poisson(sent * of_day)))


@cache
def experienced(*, mail: float = 400.0, rate: float = 0.02, feedback: Feedback = "bounce") -> SilenceState:
    """Return a state after four weeks, at midnight."""
    state, told = observe(
        SilenceState(scope=SCOPE, feedback=feedback), traffic(1, days=28, mail=mail, rate=rate), POLICY
    )
    assert not told
    return state


def silent_day(first: int = 28 * 24, *, hours: int = 24, mail: int = 400) -> list[FeedbackHour]:
    return [hour(n, int(mail * day_rhythm(n)), 0) for n in range(first, first + hours)]


def test_bounces_that_stop_are_told_of_within_the_day_with_the_figures() -> None:
    _, (started,) = observe(experienced(), silent_day(), POLICY)

    figures = started.figures
    assert started.kind == "silence"
    assert started.started_at.timestamp() * 1000 == pytest.approx(T0_MS + 28 * 24 * HOUR_MS, abs=3 * HOUR_MS)
    assert (figures["feedback"], figures["seen_count"]) == ("bounce", 0)
    assert 20 < float(figures["expected_count"]) < 80
    assert 0 < float(figures["probability"]) <= POLICY.alarm_probability


def test_it_ends_when_feedback_is_back_and_not_with_a_stray_event() -> None:
    state, (started,) = observe(experienced(), silent_day(), POLICY)
    state, stray = observe(state, [hour(29 * 24 + 9, 400, 1), hour(29 * 24 + 10, 400, 0)], POLICY)
    assert not stray

    state, (ended,) = observe(state, [hour(29 * 24 + n, 400, 8) for n in range(11, 14)], POLICY)

    assert ended.incident_id == started.incident_id
    assert ended.ended_at is not None
    assert ended.figures["cause"] == "over"
    assert state.incident is None


def test_silence_teaches_the_model_nothing() -> None:
    before = experienced()
    after, _ = observe(before, [*silent_day(), *silent_day(29 * 24)], POLICY)
    assert after.model == before.model


def test_without_mail_no_feedback_is_missed() -> None:
    assert observe(experienced(), silent_day(hours=24 * 9, mail=0), POLICY)[1] == ()


def test_hours_that_are_left_out_are_unknown_and_not_silent() -> None:
    state, _ = observe(experienced(), [hour(28 * 24 + 24 * 10, 0, 0)], POLICY)
    assert state.incident is None


def test_a_small_sender_is_silent_for_weeks_without_an_alert() -> None:
    state = experienced(mail=2, rate=0.01)
    assert observe(state, silent_day(hours=24 * 14, mail=2), POLICY)[1] == ()


def test_nothing_is_expected_before_a_week_was_learned() -> None:
    state, _ = observe(
        SilenceState(scope=SCOPE, feedback="bounce"), traffic(1, days=6, mail=400, rate=0.05), POLICY
    )
    assert observe(state, silent_day(6 * 24), POLICY)[1] == ()


def test_what_stays_away_for_two_weeks_is_not_expected_any_more() -> None:
    state, (started, ended) = observe(experienced(), silent_day(hours=24 * 40), POLICY)

    assert ended.ended_at is not None
    assert (ended.ended_at - started.started_at).days == 14
    assert ended.figures["cause"] == "limit"
    assert state.incident is None


def run_count(hours: list[FeedbackHour]) -> int:
    return sum(bool(a.seen_count) and not b.seen_count for a, b in pairwise(hours))


@pytest.mark.parametrize(
    ("mail", "rate"), [pytest.param(400, 0.02, id="bounces"), pytest.param(200, 0.004, id="complaints")]
)
def test_runs_of_silence_are_alarming_no_more_often_than_stated(mail: float, rate: float) -> None:
    """The stated false-alarm rate, at a probability that a test can see."""
    policy = SilencePolicy(alarm_probability=1e-2, min_run_hours=1)
    hours = list(traffic(7, days=150, mail=mail, rate=rate))
    _, told = observe(SilenceState(scope=SCOPE, feedback="bounce"), hours, policy)

    starts = sum(alert.ended_at is None for alert in told)
    expected = run_count(hours) * policy.alarm_probability
    assert starts <= expected + 3 * expected**0.5


def test_half_a_year_of_two_senders_gives_no_false_alert() -> None:
    told = list[DeliveryAlert]()
    for seed, (mail, rate, shape) in enumerate([(2_000, 0.02, 15), (100, 0.3, 4)]):
        hours = traffic(seed, days=90, mail=mail, rate=rate, day_shape=shape)
        told += observe(SilenceState(scope=SCOPE, feedback="bounce"), hours, POLICY)[1]
    assert not told


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1e-3, 1e3))
def test_the_more_is_expected_the_less_probable_is_silence(one: float, other: float, shape: float) -> None:
    less, more = sorted((one, other))
    assert 0 <= silence_probability(more, shape=shape) <= silence_probability(less, shape=shape) <= 1
    assert silence_probability(min(more, 500), shape=shape) >= np.exp(-min(more, 500)) * (1 - 1e-9)


any_hours = st.lists(
    st.builds(hour, st.integers(660, 900), st.integers(0, 2_000), st.integers(0, 50) | st.just(0)),
    max_size=80,
)


@settings(max_examples=40)
@given(any_hours)
def test_the_same_hours_again_change_nothing_and_the_state_survives_json(hours: list[FeedbackHour]) -> None:
    state, told = observe(experienced(), hours, POLICY)

    assert observe(state, hours, POLICY) == (state, ())
    assert state_from_plain(json.loads(json.dumps(state_to_plain(state)))) == state
    assert all((a.ended_at is None) != (b.ended_at is None) for a, b in pairwise(told))


def test_the_state_is_bounded_whatever_comes_in() -> None:
    state, _ = observe(
        SilenceState(scope=SCOPE, feedback="open"), [hour(n, n % 7, 0) for n in range(24 * 30)], POLICY
    )
    assert len(state.pending) <= POLICY.max_pending_hours


@pytest.mark.parametrize("plain", [{}, {**state_to_plain(experienced()), "silent": [1] * 9}])
def test_a_state_of_another_form_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(DataError, match="another form"):
        state_from_plain(plain)


@pytest.mark.parametrize(("mail", "seen"), [(-1, 0), (0, -1)])
def test_counts_start_at_0(mail: int, seen: int) -> None:
    with pytest.raises(DataError, match="starts at 0"):
        hour(0, mail, seen)


def test_the_sentences_hold_the_figures_in_both_languages() -> None:
    state, (started,) = observe(experienced(), silent_day(), POLICY)
    _, (ended,) = observe(state, [hour(29 * 24 + 9, 400, 8)], POLICY)

    text = describe(started)
    assert text.startswith("No bounces arrive for mail.acme.example since 2026-10-")
    assert "fewer than one in a million" in text
    assert "kurang dari satu di antara sejuta" in describe(started, "id")
    assert describe(ended).startswith("Bounces for mail.acme.example arrive again since")
    assert "did not come back" in describe(replace(ended, figures={**ended.figures, "cause": "limit"}))
