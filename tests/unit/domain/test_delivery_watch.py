"""Delays alarm when a scope is slower than it used to be, and only then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.domain.alert import DeliveryAlert, Scope, describe
from postloop.domain.delivery_time import (
    DEFAULT_DELAY_POLICY,
    DelayPolicy,
    DelayState,
    Slice,
    observe,
    state_from_plain,
    state_to_plain,
)
from postloop.domain.delivery_time.state import History
from postloop.domain.errors import DataError

POLICY = DEFAULT_DELAY_POLICY
T0_MS = 1_790_000_400_000
SCOPE = Scope(account_id="acme", sender_domain="mail.acme.example", mailbox_provider="gmail")


def at(number: int) -> int:
    """Return the beginning of a slice of the test."""
    return T0_MS - T0_MS % POLICY.slice_ms + number * POLICY.slice_ms


def counted(number: int, delivered: int, delayed: int) -> Slice:
    return Slice(at_ms=at(number), delivered_count=delivered, delayed_count=delayed)


def experienced(*, per_slice: float = 100.0, rate: float = 0.02, scope: Scope = SCOPE) -> DelayState:
    """Return a state that has seen a steady rate for long."""
    delivered = per_slice * 6 * 24 * 7 * 1.44
    return DelayState(scope=scope, history=History(delivered, delivered * rate, at(-1)))


def play(state: DelayState, slices: Iterable[Slice]) -> tuple[DelayState, list[DeliveryAlert]]:
    """Observe slices one by one."""
    told = list[DeliveryAlert]()
    for one in slices:
        state, alerts = observe(state, [one], POLICY)
        told += alerts
    return state, told


def day_of_trouble() -> Iterator[Slice]:
    """Yield two usual hours, two of delays, three usual ones."""
    for number in range(42):
        yield counted(number, 100, 40 if 12 <= number < 24 else 2)


def test_a_domain_that_turns_slow_alarms_within_the_hour_and_ends_within_two() -> None:
    _, (started, ended) = play(experienced(), day_of_trouble())

    assert started.kind == "slow"
    assert started.started_at.timestamp() * 1000 == at(12)
    assert started.figures["delayed_count"] >= POLICY.min_delayed_count
    assert started.figures["usual_rate"] == pytest.approx(0.02, abs=0.001)
    assert started.ended_at is None
    assert ended.ended_at is not None
    assert at(24) < ended.ended_at.timestamp() * 1000 <= at(36)
    assert (started.incident_id, started.started_at) == (ended.incident_id, ended.started_at)
    assert started.event_id != ended.event_id
    assert ended.figures["cause"] == "over"


def test_the_alert_comes_within_half_an_hour_of_slowness() -> None:
    state, told = play(experienced(), [counted(n, 100, 2) for n in range(12)] + [counted(12, 100, 40)])
    assert not told
    assert play(state, [counted(13, 100, 40), counted(14, 100, 40)])[1]


def test_a_scope_without_a_provider_has_delays() -> None:
    scope = replace(SCOPE, mailbox_provider=None)
    _, told = play(experienced(scope=scope), day_of_trouble())
    assert [alert.kind for alert in told] == ["delays", "delays"]


@pytest.mark.parametrize(
    ("rate", "usual"),
    [
        pytest.param(0.30, 0.25, id="a provider that always greylists"),
        pytest.param(0.09, 0.005, id="below the rate that is worth an alert"),
    ],
)
def test_delays_alarm_by_the_own_history_and_not_by_themselves(rate: float, usual: float) -> None:
    slices = [counted(n, 200, round(200 * rate)) for n in range(144)]
    assert play(experienced(rate=usual), slices)[1] == []


def test_a_few_late_messages_of_a_small_sender_alarm_nobody() -> None:
    assert play(DelayState(scope=SCOPE), [counted(n, 1, 1) for n in range(40)])[1] == []


def test_what_goes_on_for_three_days_becomes_the_history() -> None:
    slices = [counted(n, 100, 40) for n in range(6 * 24 * 6)]
    state, (started, ended) = play(experienced(), slices)

    assert ended.ended_at is not None
    assert (ended.ended_at - started.started_at).days == 3
    assert ended.figures["cause"] == "limit"
    assert state.history.usual(POLICY, at_ms=state.head_ms).rate == pytest.approx(0.4, abs=0.01)


def test_an_alert_teaches_the_history_nothing() -> None:
    before = experienced()
    state, told = play(before, [*day_of_trouble(), *(counted(n, 100, 2) for n in range(42, 200))])
    assert len(told) == 2
    assert state.history.usual(POLICY, at_ms=state.head_ms).rate == pytest.approx(0.02, abs=0.002)


any_slices = st.lists(
    st.tuples(st.integers(-5, 60), st.integers(0, 400), st.floats(0, 1)).map(
        lambda drawn: counted(drawn[0], drawn[1], int(drawn[1] * drawn[2]))
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(any_slices, st.integers(0, 60))
def test_the_same_slices_again_change_nothing(slices: list[Slice], start: int) -> None:
    state, _ = observe(experienced(), slices, POLICY)
    assert observe(state, slices[start:], POLICY) == (state, ())


@settings(max_examples=60)
@given(any_slices)
def test_one_call_says_what_one_call_a_slice_says(slices: list[Slice]) -> None:
    ordered = sorted(slices, key=lambda s: s.at_ms)
    state, alerts = observe(experienced(), slices, POLICY)
    assert (state, list(alerts)) == play(experienced(), ordered)


@settings(max_examples=60)
@given(st.lists(any_slices, max_size=4))
def test_alerts_start_and_end_in_turn_and_the_state_is_bounded_and_survives_json(
    calls: list[list[Slice]],
) -> None:
    state, told = experienced(), list[DeliveryAlert]()
    for slices in calls:
        state, alerts = observe(state, slices, POLICY)
        told += alerts
        assert state_from_plain(json.loads(json.dumps(state_to_plain(state)))) == state
        assert len(state.slices) <= POLICY.memory_slices
    assert all((a.ended_at is None) != (b.ended_at is None) for a, b in pairwise(told))
    assert len({alert.event_id for alert in told}) == len(told)


def test_a_usual_wandering_rate_in_clumps_gives_no_alert_in_half_a_year() -> None:
    """The stated false-alarm rate: late mail in clumps of five, an hourly rate of half to twice the usual."""
    rng = np.random.default_rng(3)
    told = list[DeliveryAlert]()
    for scope_rate in (0.01, 0.05, 0.15):
        slices_count = 61 * 144
        wander = np.repeat(2.0 ** rng.uniform(-1, 1, slices_count // 6), 6)
        clumps = rng.poisson(12, slices_count)
        late = rng.binomial(clumps, np.minimum(scope_rate * wander, 0.9))
        state = experienced(per_slice=60, rate=scope_rate)
        slices = [
            counted(n, 5 * int(c), 5 * int(d)) for n, (c, d) in enumerate(zip(clumps, late, strict=True))
        ]
        told += observe(state, slices, POLICY)[1]
    assert not told


@pytest.mark.parametrize("plain", [{}, {**state_to_plain(experienced()), "slices": [[1, 2]]}])
def test_a_state_of_another_form_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(DataError, match="another form"):
        state_from_plain(plain)


@pytest.mark.parametrize(("delivered", "delayed"), [(1, 2), (1, -1)])
def test_no_more_are_late_than_delivered(delivered: int, delayed: int) -> None:
    with pytest.raises(DataError, match="delayed_count"):
        counted(0, delivered, delayed)


def test_a_policy_that_judges_more_than_it_keeps_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_slices"):
        DelayPolicy(memory_slices=5)


def test_the_sentences_hold_the_figures_in_both_languages() -> None:
    _, (started, ended) = play(experienced(), day_of_trouble())

    assert describe(started) == (
        "Gmail accepts mail of mail.acme.example late. 40.0 % took longer than 5 minutes (120 of 300 deliveries since"
        " 2026-09-21 16:20 UTC; usually 2.0 %). Late mail is still delivered: send no copies, and start large"
        " mailings later."
    )
    assert "40,0 %" in describe(started, "id-ID")
    assert describe(ended).startswith(
        "Delivery times of mail.acme.example / gmail are usual again since 2026-09-21"
    )
    assert describe(ended, "id") != describe(ended)
    everybody = replace(started, scope=Scope(mailbox_provider="gmail"))
    assert describe(everybody).startswith("Gmail accepts mail late, whoever sent it.")
