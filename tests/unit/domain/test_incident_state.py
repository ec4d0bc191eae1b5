"""What the guard of a provider knows: what is usual, the last minutes, and the words for what it decides."""

from __future__ import annotations

import json
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.chance import tail_bound
from postloop.domain.errors import DataError
from postloop.domain.incident import (
    DEFAULT_GUARD_POLICY,
    MINUTE_MS,
    GuardPolicy,
    IncidentEnded,
    ProviderState,
    Pulse,
    Transition,
    Verdict,
    decide_by_operator,
    describe,
    observe,
    state_from_plain,
    state_to_plain,
    tick,
)
from postloop.domain.incident.excess import yardstick
from tests.unit.domain.incident_traffic import (
    any_pulses,
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
MAX_STATE_BYTES = 250_000


# -- The baseline ------------------------------------------------------------------------------------------------


def test_an_outage_teaches_the_baseline_nothing() -> None:
    def raised(number: int) -> list[Pulse]:
        return [pulse(number, f"a{i}", f"d{i}.example", 50, 6) for i in range(6)]

    before = experienced()
    state, _ = play(before, [0], raised)
    state, told = play(state, range(1, 5), refused_mail)
    state, _ = play(state, range(6, 16), raised)
    state, more = play(state, range(16, 30), usual_mail)
    assert starts(told)[0].started_ms == minute(0)
    assert ends(more)
    state, _ = observe(state, raised(15), POLICY, minute(30))
    state, _ = observe(state, raised(5), POLICY, minute(30))

    state, _ = play(state, range(30, 120), usual_mail)

    hours = (state.baseline.at_ms - before.baseline.at_ms) / 3_600_000
    assert state.baseline.hard_weight == pytest.approx(before.baseline.hard_weight * 0.5 ** (hours / 24))
    assert state.baseline.outcome_weight > before.baseline.outcome_weight


def test_minutes_of_excess_teach_nothing_even_without_an_incident() -> None:
    before = experienced()

    state, told = play(before, range(90), lambda k: [pulse(k, "bad", "bad.example", 200, 150)])

    assert not told
    assert state.baseline == before.baseline


def test_the_baseline_follows_what_is_usual_within_days() -> None:
    state, _ = play(ProviderState(provider="gmail"), range(0, 3 * 1_440, 5), usual_mail)
    assert yardstick(state.baseline, POLICY, at_ms=state.head_ms).rate < 0.001

    state, told = play(
        state,
        range(3 * 1_440, 9 * 1_440, 5),
        lambda k: [pulse(k, f"a{i}", f"d{i}", 20, 2) for i in range(12)],
    )
    assert not told
    assert yardstick(state.baseline, POLICY, at_ms=state.head_ms).rate == pytest.approx(0.1, abs=0.005)


def test_what_was_learned_long_ago_counts_no_more() -> None:
    usual = yardstick(experienced(rate=0.3).baseline, POLICY, at_ms=minute(60 * 1_440))

    assert usual.rate == pytest.approx(0.05)
    assert usual.limit_rate == pytest.approx(0.364, abs=0.001)


@given(st.integers(1, 300), st.data())
def test_the_bound_of_chance_is_never_below_the_chance(outcomes: int, data: st.DataObject) -> None:
    hard = data.draw(st.integers(0, outcomes))
    rate = data.draw(st.floats(0.001, 0.999))
    exact = sum(comb(outcomes, k) * rate**k * (1 - rate) ** (outcomes - k) for k in range(hard, outcomes + 1))

    assert tail_bound(hit_count=hard, count=outcomes, rate=rate) >= exact * (1 - 1e-9)


@given(st.floats(0, 1e7), st.floats(0, 1), st.integers(0, 10**11))
def test_the_limit_can_always_be_reached_and_is_above_what_is_usual(
    outcomes: float, rate: float, later_ms: int
) -> None:
    state = experienced(per_minute=outcomes, rate=rate)
    usual = yardstick(state.baseline, POLICY, at_ms=minute(0) + later_ms)

    assert usual.rate < usual.upper_rate <= usual.limit_rate < 1
    assert usual.limit_rate >= POLICY.min_rate


# -- The state ---------------------------------------------------------------------------------------------------


@given(st.data(), any_pulses)
def test_the_order_of_pulses_in_a_call_does_not_matter(data: st.DataObject, pulses: list[Pulse]) -> None:
    other = data.draw(st.permutations(pulses))

    assert observe(experienced(), pulses, POLICY, minute(13)) == observe(
        experienced(), other, POLICY, minute(13)
    )


@given(st.data(), any_pulses)
def test_pulses_one_by_one_in_any_order_count_the_same(data: st.DataObject, pulses: list[Pulse]) -> None:
    other = data.draw(st.permutations(pulses))
    first, _ = observe(experienced(), pulses, POLICY, minute(13))
    second = experienced()
    for one in other:
        second, _ = observe(second, [one], POLICY, minute(13))

    assert [(m.at_ms, m.total) for m in first.minutes] == [(m.at_ms, m.total) for m in second.minutes]


def test_what_is_too_old_or_from_the_future_is_not_counted() -> None:
    state, _ = observe(experienced(), usual_mail(40), POLICY, minute(41))

    assert observe(state, refused_mail(10), POLICY, minute(41)) == (state, ())
    assert observe(state, refused_mail(43), POLICY, minute(41)) == (state, ())
    assert observe(state, usual_mail(11), POLICY, minute(41))[0] != state
    assert observe(state, usual_mail(42), POLICY, minute(41))[0] != state


@given(
    st.lists(st.tuples(any_pulses, st.integers(-20, 200)), max_size=6),
    st.sampled_from(["discard", "release"]),
)
def test_holds_begin_and_end_in_turn_and_the_state_survives_json(
    calls: list[tuple[list[Pulse], int]], verdict: Verdict
) -> None:
    state, told = experienced(), list[Transition]()
    for pulses, number in calls:
        state, transitions = observe(state, pulses, POLICY, minute(number))
        told += transitions
        state, transitions = tick(state, POLICY, minute(number + 30))
        told += transitions
        assert state_from_plain(json.loads(json.dumps(state_to_plain(state)))) == state
    if state.incident is not None:
        state, transitions = decide_by_operator(state, state.incident.incident_id, verdict, minute(300))
        told += transitions

    assert all(type(a) is not type(b) for a, b in pairwise(told))
    assert [s.incident_id for s in starts(told)] == [e.incident_id for e in ends(told)]
    assert len({s.incident_id for s in starts(told)}) == len(starts(told))


@pytest.mark.parametrize("name", ["n{}", "\U0001f600\x01" * 50 + "{}", '"' * 61 + "{}", "x" * 61 + "{}"])
def test_the_state_is_bounded_whatever_comes_in(name: str) -> None:
    rng = np.random.default_rng(1)
    state = experienced()
    for number in range(45):
        names = [name.format(f"{i:03}") for i in rng.choice(1_000, 300, replace=False)]
        pulses = [pulse(number - i % 3, n, n, 10**9, i) for i, n in enumerate(names)]
        state, _ = observe(state, pulses, POLICY, minute(number + 1))

    assert len(state.minutes) <= POLICY.memory_minutes
    assert len(json.dumps(state_to_plain(state))) < MAX_STATE_BYTES


@pytest.mark.parametrize(
    "plain", [{}, {"provider": "gmail"}, {**state_to_plain(experienced()), "minutes": [[1]]}]
)
def test_a_state_of_another_form_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(DataError, match="another form"):
        state_from_plain(plain)


@pytest.mark.parametrize(("outcomes", "hard"), [(1, 2), (1, -1), (-1, -1)])
def test_a_pulse_has_no_more_hard_bounces_than_outcomes(outcomes: int, hard: int) -> None:
    with pytest.raises(DataError, match="hard_count"):
        pulse(0, "a", "d", outcomes, hard)


def test_a_pulse_of_another_provider_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="yahoo"):
        observe(
            ProviderState(provider="gmail"), [pulse(0, "a", "d", 1, 0, provider="yahoo")], POLICY, minute(1)
        )


def test_a_policy_that_judges_more_than_it_keeps_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_minutes"):
        GuardPolicy(memory_minutes=9)


# -- Words -------------------------------------------------------------------------------------------------------


def test_a_start_is_described_with_its_figures() -> None:
    _, told = play(experienced(per_minute=240), range(2), refused_mail)

    text = describe(told[0])
    assert text == (
        "gmail refuses 90.0 % of the mail as sent to unknown recipients (216 of 240 in the last minutes, usually"
        " 1.0 %), across 6 accounts and 12 sender domains, since about 2026-09-21 14:14 UTC. Its hard bounces are"
        " held and block nobody until the rate is back; addresses that they have blocked since then are released."
    )
    assert describe(told[0], "id-ID") != text
    assert "90,0 %" in describe(told[0], "id-ID")
    assert describe(told[0], "tlh") == text


@pytest.mark.parametrize("lang", ["en", "id"])
def test_every_end_is_described_in_its_own_words(lang: str) -> None:
    common = {
        "provider": "gmail",
        "incident_id": "i",
        "started_ms": minute(0),
        "ended_ms": minute(0) + 40 * MINUTE_MS,
        "until_ms": minute(0) + 40 * MINUTE_MS,
    }
    texts = {
        describe(
            IncidentEnded(**common, cause=cause, verdict=verdict, outcome_count=123_456, hard_count=98_765),
            lang,
        )
        for cause in ("over", "limit", "operator")
        for verdict in ("discard", "release")
    }

    assert len(texts) == 6
    for text in texts:
        assert "gmail" in text
        assert {"en": "98,765", "id": "98.765"}[lang] in text
        assert "14:54 UTC" in text
