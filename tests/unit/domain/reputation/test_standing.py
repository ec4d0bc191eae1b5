"""What is held of a sender over time: falls at once, rises after clean days, never flaps, never repeats."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    DAY_MS,
    DEFAULT_REPUTATION_POLICY,
    GRADES,
    HOUR_MS,
    Evidence,
    ReputationChanged,
    ReputationState,
    WindowCounts,
    change_event_id,
    evaluate,
    evidence_of,
    state_from_plain,
    state_to_plain,
)
from tests.unit.domain.reputation.mail import T0_MS, any_mail, mail

POLICY = DEFAULT_REPUTATION_POLICY
CLEAN, LOW, BAD = mail(10_000), mail(10_000, complaints=20), mail(10_000, complaints=60)
HISTORIES = st.lists(st.tuples(st.integers(0, 5 * 24), any_mail()), max_size=12)


def play(
    history: list[tuple[int, WindowCounts]], state: ReputationState | None = None
) -> tuple[ReputationState, list[ReputationChanged]]:
    """Return what comes of evidence, each so many hours after the one before."""
    state, told = state or ReputationState(), []
    now_ms = max(state.at_ms, T0_MS)
    for hours, counts in history:
        now_ms += hours * HOUR_MS
        state, changes = evaluate(state, evidence_of(counts), POLICY, now_ms)
        told += changes
    return state, told


def days(count: int, counts: WindowCounts) -> list[tuple[int, WindowCounts]]:
    return [(24, counts)] * count


def test_a_first_good_verdict_is_not_told_and_a_first_bad_one_is() -> None:
    assert play(days(1, CLEAN))[1] == []
    (told,) = play(days(1, BAD))[1]
    assert (told.before, told.after.grade, told.recommendation) == (None, "bad", "pause")
    assert told.factors[0].name == "complaints"
    assert told.actions[:2] == ("pause", "mail_willing_recipients")


def test_a_grade_falls_at_once() -> None:
    _, told = play([*days(3, CLEAN), (0, BAD)])
    assert [(change.before.grade, change.after.grade) for change in told if change.before] == [
        ("high", "bad")
    ]


@pytest.mark.parametrize("counts", [LOW, BAD], ids=["low", "bad"])
def test_a_grade_rises_after_clean_days_in_a_row(counts: WindowCounts) -> None:
    start = days(1, counts)
    held = play([*start, *days(7, CLEAN)])[0]
    assert held.standing.grade == play(start)[0].standing.grade
    assert play([*start, *days(8, CLEAN)])[0].standing.grade == "high"
    broken = [*start, *days(7, CLEAN), (1, counts), *days(7, CLEAN)]
    assert play(broken)[0].standing.grade != "high"


def test_just_below_the_limit_is_not_clean() -> None:
    state, _ = play([*days(1, BAD), *days(30, mail(10_000, complaints=40))])
    assert state.standing.grade == "bad"
    assert state.standing.score == 39


def test_after_clean_days_the_grade_is_the_worst_that_was_kept_to() -> None:
    state, _ = play([*days(1, BAD), *days(4, CLEAN), *days(4, LOW)])
    assert state.standing.grade == "low"


def test_what_was_paused_comes_back_by_way_of_little_mail_or_is_resumed() -> None:
    _, told = play([*days(1, BAD), *days(8, LOW), *days(8, CLEAN)])
    assert [change.recommendation for change in told] == ["pause", "throttle", "resume"]
    _, told = play([*days(1, BAD), *days(8, CLEAN)])
    assert [change.recommendation for change in told] == ["pause", "resume"]


def test_advice_only_gets_stronger_within_a_grade() -> None:
    warned, worse = mail(10_000, complaints=18), mail(10_000, complaints=35)
    _, told = play([*days(1, warned), *days(1, worse), *days(1, warned), *days(1, worse)])
    assert [change.recommendation for change in told] == ["warn", "throttle"]


def test_too_little_mail_ends_a_verdict_and_a_pause() -> None:
    state, told = play([*days(1, BAD), *days(1, mail(50))])
    assert (state.standing.score, state.standing.grade) == (None, "unknown")
    assert told[-1].recommendation == "resume"


@settings(max_examples=40)
@given(HISTORIES)
def test_a_replay_changes_nothing(history: list[tuple[int, WindowCounts]]) -> None:
    state, _ = play(history)
    now_ms = T0_MS
    for hours, _ in history:
        now_ms += hours * HOUR_MS
    if history:
        assert evaluate(state, evidence_of(history[-1][1]), POLICY, now_ms) == (state, ())
    assert evaluate(state, evidence_of(BAD), POLICY, state.at_ms - 1) == (state, ())


@settings(max_examples=40)
@given(HISTORIES)
def test_every_change_follows_the_one_before_and_is_one(history: list[tuple[int, WindowCounts]]) -> None:
    state, told = play(history)
    for before, after in pairwise(told):
        assert after.before is not None
        assert before.after.grade == after.before.grade
        assert (before.after.grade, before.recommendation) != (after.after.grade, after.recommendation)
    for change in told:
        assert change.after.grade in GRADES
        assert (change.after.score is None) == (change.after.grade == "unknown")
    ids = {change_event_id(c, account_id="a", sender_domain="d", mailbox_provider=None) for c in told}
    assert len(ids) == len(told)
    assert state.standing.grade == (told[-1].after.grade if told else state.standing.grade)


@settings(max_examples=40)
@given(HISTORIES, any_mail())
def test_a_held_grade_is_never_better_than_what_the_counts_say(
    history: list[tuple[int, WindowCounts]], counts: WindowCounts
) -> None:
    fresh, _ = play([(0, counts)])
    held, _ = play([*history, (1, counts)])
    if fresh.standing.score is not None:
        assert held.standing.score is not None
        assert held.standing.score <= fresh.standing.score


@settings(max_examples=40)
@given(HISTORIES)
def test_a_state_comes_back_from_json(history: list[tuple[int, WindowCounts]]) -> None:
    state, _ = play(history)
    assert state_from_plain(json.loads(json.dumps(state_to_plain(state)))) == state


@pytest.mark.parametrize(
    "change",
    [{"grade": "good"}, {"recommendation": "stop"}, {"better_grade": 3}, {"grade": []}],
    ids=["grade", "recommendation", "better grade", "not a word"],
)
def test_a_state_of_another_form_is_refused(change: dict[str, Any]) -> None:
    plain = state_to_plain(ReputationState())
    with pytest.raises(DataError) as caught:
        state_from_plain({**plain, **change})
    assert caught.value.code == "invalid_state"
    with pytest.raises(DataError):
        state_from_plain({name: value for name, value in plain.items() if name != "at_ms"})


@pytest.mark.parametrize("true_rate", [0.0012, 0.0015, 0.004])
def test_a_sender_at_a_limit_does_not_flap(true_rate: float) -> None:
    """Noise carries the bound over the line again and again; the grade follows one in eight times at most."""
    rng = np.random.default_rng(7)
    changes, crossings, last = 0, 0, ""
    state = ReputationState()
    for day in range(365):
        counts = mail(10_000, complaints=int(rng.binomial(10_000, true_rate)))
        state, told = evaluate(state, evidence_of(counts), POLICY, T0_MS + day * DAY_MS)
        changes += sum(change.before is None or change.before.grade != change.after.grade for change in told)
        plain, _ = evaluate(ReputationState(), evidence_of(counts), POLICY, T0_MS)
        crossings += plain.standing.grade != last
        last = plain.standing.grade
    assert crossings > 50
    assert changes <= crossings / 8


def test_the_same_change_has_one_id_and_another_sender_another() -> None:
    (change,) = play(days(1, BAD))[1]
    ids = {
        change_event_id(change, account_id=account, sender_domain=domain, mailbox_provider=provider)
        for account, domain, provider in [
            ("a", "b.example", None),
            ("a", "b.example", "gmail"),
            ("c", "b.example", None),
            ("a", "d.example", None),
            ("a", "b.example", None),
        ]
    }
    assert len(ids) == 4


def test_evidence_without_any_window_is_no_verdict() -> None:
    assert evaluate(ReputationState(), Evidence({}), POLICY, T0_MS)[0].standing.grade == "unknown"


def test_the_clean_days_are_the_policys() -> None:
    quick = replace(POLICY, clean_days=0)
    state, _ = evaluate(ReputationState(), evidence_of(BAD), quick, T0_MS)
    assert evaluate(state, evidence_of(CLEAN), quick, T0_MS + 1)[0].standing.grade == "high"
