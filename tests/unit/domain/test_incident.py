"""When the hard bounces of a provider are held, and what must not make them be held."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.incident import (
    DEFAULT_GUARD_POLICY,
    Counts,
    IncidentEnded,
    IncidentStarted,
    ProviderState,
    Pulse,
    Transition,
    is_guarded,
    observe,
)
from postloop.domain.incident.excess import is_part_excess, is_window_excess, yardstick
from postloop.domain.providers import PROVIDERS
from tests.unit.domain.incident_traffic import (
    USUAL_RATE,
    Sender,
    any_pulses,
    ends,
    experienced,
    mail,
    minute,
    play,
    pulse,
    pulses_about,
    senders,
    starts,
    usual_mail,
)

POLICY = DEFAULT_GUARD_POLICY


def _outage(
    *, per_minute: float, mailers: list[Sender], rate: float, seed: int, last: int = 10, until: int = 30
) -> tuple[ProviderState, list[Transition]]:
    """Play usual mail, an outage in the minutes from 0 on, and usual mail again."""
    rng = np.random.default_rng(seed)

    def pulses_of(number: int) -> list[Pulse]:
        refused = rate if 0 <= number < last else USUAL_RATE
        return mail(rng, number, mailers, per_minute=per_minute, rate=refused)

    return play(experienced(per_minute=per_minute), range(-31, until), pulses_of)


# -- Outages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("per_minute", "mailers"),
    [
        pytest.param(1_000, senders(40, 60, skew=1), id="much-mail"),
        pytest.param(1_000, senders(400, 500, skew=0.7), id="more-accounts-than-are-kept"),
        pytest.param(60, senders(3, 5), id="little-mail-of-as-few-as-suffice"),
        pytest.param(60, senders(20, 30, skew=0.7), id="little-mail"),
        pytest.param(60, senders(200, 250, skew=0.5), id="little-mail-of-many"),
    ],
)
def test_an_outage_is_found_within_three_minutes_and_ends_ten_after_it(
    per_minute: float, mailers: list[Sender], seed: int
) -> None:
    _, told = _outage(per_minute=per_minute, mailers=mailers, rate=0.9, seed=seed)

    (started,), (ended,) = starts(told), ends(told)
    assert minute(0) < started.detected_ms <= minute(3)
    assert started.started_ms == minute(0)
    assert minute(20) <= ended.ended_ms <= minute(22)
    assert (ended.cause, ended.verdict) == ("over", "discard")
    assert ended.incident_id == started.incident_id
    assert ended.hard_count > started.hard_count * 0.9


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_an_outage_that_spares_some_recipients_is_found_once_it_fills_the_window(rate: float) -> None:
    _, told = _outage(per_minute=600, mailers=senders(40, 60, skew=1), rate=rate, seed=1)

    (started,) = starts(told)
    assert started.detected_ms <= minute(6)
    assert started.started_ms == minute(0)


def test_the_start_is_the_minute_in_which_the_outage_begins() -> None:
    rng = np.random.default_rng(1)
    mailers = senders(20, 30)
    rates = {0: 0.15, 1: 0.9, 2: 0.9}  # the first ten seconds of minute 0 were usual

    _, told = play(
        experienced(),
        range(-31, 3),
        lambda k: mail(rng, k, mailers, per_minute=600, rate=rates.get(k, 0.01)),
    )

    assert starts(told)[0].started_ms == minute(0)


def test_pulses_that_come_minutes_late_show_an_outage_too() -> None:
    rng = np.random.default_rng(1)
    mailers = senders(20, 30)
    late = [p for k in range(5) for p in mail(rng, k, mailers, per_minute=100, rate=0.9)]
    live = [pulse(k, "other", "other.example", 1, 0) for k in range(10)]
    state, _ = observe(experienced(), live, POLICY, minute(10))

    _, told = observe(state, late, POLICY, minute(10))

    assert starts(told)[0].started_ms == minute(0)


def test_a_backlog_in_one_call_is_judged_like_live_mail() -> None:
    rng = np.random.default_rng(1)
    mailers = senders(20, 30)
    backlog = [
        p for k in range(40) for p in mail(rng, k, mailers, per_minute=100, rate=0.9 if 5 <= k < 12 else 0.01)
    ]

    _, told = observe(experienced(), backlog, POLICY, minute(600))

    assert [type(t) for t in told] == [IncidentStarted, IncidentEnded]
    assert starts(told)[0].started_ms == minute(5)


def test_minutes_with_little_mail_do_not_interrupt_the_run_of_an_outage_and_usual_ones_do() -> None:
    def refused(number: int) -> list[Pulse]:
        return [pulse(number, f"a{i}", f"d{i}.example", 5, 4) for i in range(6)]

    def little(number: int) -> list[Pulse]:
        return [pulse(number, "a0", "d0.example", 2, 0)]

    played = {0: refused, 1: usual_mail, 10: refused, 11: little, 14: refused}

    _, told = play(experienced(), sorted(played), lambda k: played[k](k))

    (started,) = starts(told)
    assert started.started_ms == minute(10)


# -- No outages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([Sender("bad", "bad.example", 5, 1.0)], id="dead-list"),
        pytest.param([Sender("bad", f"bad{i}.example", 1, 1.0) for i in range(40)], id="many-sender-domains"),
        pytest.param([Sender(f"bad{i}", "bad.example", 1, 1.0) for i in range(40)], id="one-shared-domain"),
        pytest.param(
            [
                Sender("bad", "bad.example", 100, 1.0),
                *[Sender(f"b{i}", f"b{i}.example", 0.1, 0.4) for i in range(8)],
            ],
            id="bystanders-with-bad-lists-of-their-own",
        ),
        pytest.param(
            [Sender(f"bad{i}", f"bad{i}-{j}.example", 4, 1.0) for i in range(3) for j in range(2)],
            id="three-accounts-of-one-spammer",
        ),
    ],
)
@pytest.mark.parametrize("per_minute", [60, 2_000])
def test_bad_lists_of_a_few_make_no_incident(bad: list[Sender], per_minute: float) -> None:
    rng = np.random.default_rng(1)
    mailers = [*senders(10, 20), *bad]

    state, told = play(
        experienced(), range(40), lambda k: mail(rng, k, mailers, per_minute=per_minute, rate=USUAL_RATE)
    )

    assert not told
    assert sum(m.total.hard_count for m in state.minutes) > 0.2 * sum(
        m.total.outcome_count for m in state.minutes
    )


def test_what_a_few_small_accounts_add_to_a_dead_list_makes_no_incident() -> None:
    dead_list = [pulse(0, "bad", f"bad{i}.example", 200, 200) for i in range(3)]
    bad_lists = [pulse(0, f"b{i}", f"b{i}.example", 25, 10) for i in range(2)]
    usual = [pulse(0, "a", "a.example", 60, 0)]

    _, told = observe(experienced(), [*dead_list, *bad_lists, *usual], POLICY, minute(1))

    assert not told


def test_an_account_counts_for_an_incident_only_with_an_excess_of_its_own() -> None:
    two = [pulse(0, f"a{i}", f"d{i}-{j}.example", 20, 20) for i in range(2) for j in range(4)]
    tiny = [pulse(0, f"b{i}", f"b{i}.example", 2, 2) for i in range(40)]

    assert not observe(experienced(), [*two, *tiny], POLICY, minute(1))[1]
    assert observe(experienced(), [*two, *tiny, pulse(0, "c", "c", 3, 3)], POLICY, minute(1))[1]


@pytest.mark.parametrize(
    ("outcomes", "hard", "usual_rate", "is_excess"),
    [
        pytest.param(50, 20, 0.01, True, id="enough"),
        pytest.param(49, 49, 0.01, False, id="too-few-outcomes"),
        pytest.param(60, 19, 0.01, False, id="too-few-hard-bounces"),
        pytest.param(100_000, 19_999, 0.01, False, id="below-one-in-five"),
        pytest.param(100_000, 20_000, 0.01, True, id="one-in-five"),
        pytest.param(100_000, 55_000, 0.3, False, id="not-three-times-the-odds"),
        pytest.param(100_000, 57_000, 0.3, True, id="three-times-the-odds"),
        pytest.param(60, 36, 0.3, False, id="may-be-chance"),
        pytest.param(60, 55, 0.3, True, id="cannot-be-chance"),
    ],
)
def test_a_window_is_an_excess_when_it_is_large_high_and_no_chance(
    outcomes: int, hard: int, usual_rate: float, is_excess: bool
) -> None:
    usual = yardstick(experienced(rate=usual_rate).baseline, POLICY, at_ms=minute(0))

    assert is_window_excess(Counts(outcomes, hard), usual, POLICY) == is_excess


@pytest.mark.parametrize(
    ("outcomes", "hard", "usual_rate", "is_excess"),
    [
        pytest.param(3, 3, 0.01, True, id="enough"),
        pytest.param(2, 2, 0.01, False, id="too-few-hard-bounces"),
        pytest.param(1_000, 199, 0.01, False, id="below-one-in-five"),
        pytest.param(14, 3, 0.05, False, id="may-be-chance"),
        pytest.param(14, 6, 0.05, True, id="hardly-chance"),
    ],
)
def test_a_part_is_an_excess_when_it_is_high_and_hardly_chance(
    outcomes: int, hard: int, usual_rate: float, is_excess: bool
) -> None:
    usual = yardstick(experienced(rate=usual_rate).baseline, POLICY, at_ms=minute(0))

    assert is_part_excess(Counts(outcomes, hard), usual, POLICY) == is_excess


_few = st.sampled_from(["a", "b"])
_many = st.sampled_from([f"d{i}" for i in range(20)])


@given(
    st.lists(pulses_about(_few, _many), max_size=60)
    | st.lists(pulses_about(_many, st.sampled_from("wxyz")), max_size=60)
)
def test_fewer_than_three_accounts_or_five_domains_never_make_an_incident(pulses: list[Pulse]) -> None:
    _, told = observe(experienced(), pulses, POLICY, minute(13))

    assert not told


@pytest.mark.parametrize(
    ("account_count", "domain_count", "is_incident"), [(3, 5, True), (2, 5, False), (3, 4, False)]
)
def test_three_accounts_and_five_domains_suffice(
    account_count: int, domain_count: int, is_incident: bool
) -> None:
    pulses = [pulse(0, s.account, s.domain, 20, 18) for s in senders(account_count, domain_count)]

    _, told = observe(experienced(), pulses, POLICY, minute(1))

    assert bool(told) == is_incident


@given(any_pulses)
def test_an_incident_tells_figures_that_justify_it(pulses: list[Pulse]) -> None:
    _, told = observe(experienced(), pulses, POLICY, minute(13))

    for started in starts(told):
        assert started.account_count >= 3
        assert started.domain_count >= 5
        assert started.outcome_count >= 50
        assert started.hard_count >= 20
        assert started.rate == started.hard_count / started.outcome_count >= 0.2


@pytest.mark.parametrize("clump", [1, 2])
@pytest.mark.parametrize("rate", [0.005, 0.02, 0.05, 0.1, 0.3, 0.5])
def test_a_year_of_a_steady_rate_passes_the_test_of_no_window(rate: float, clump: int) -> None:
    """Not even before the spread is asked for, and not when bounces come in twos. The rest of the rule only narrows."""
    rng = np.random.default_rng(20_260_101)
    for per_minute in (10, 20, 200):
        outcomes = rng.poisson(per_minute / clump, 525_600)
        hard = rng.binomial(outcomes, rate) * clump
        window_outcomes, window_hard = (np.convolve(x, np.ones(5, int)) for x in (outcomes * clump, hard))
        usual = yardstick(experienced(per_minute=per_minute, rate=rate).baseline, POLICY, at_ms=minute(0))

        # The limit alone rules nearly all windows out; the others are judged by the rule itself.
        near = np.nonzero(window_hard >= np.maximum(usual.limit_rate * window_outcomes, 1))[0]
        windows = [Counts(int(window_outcomes[i]), int(window_hard[i])) for i in near]
        assert not [w for w in windows if is_window_excess(w, usual, POLICY)]


def test_days_of_accounts_with_changing_lists_make_no_incident() -> None:
    """Every hour each of 40 accounts has a bad list (0.3) with a probability of 0.05."""
    rng = np.random.default_rng(20_260_101)
    mailers = senders(40, 60, skew=1)
    state = experienced()
    for hour in range(72):
        bad = {f"a{i}" for i in np.nonzero(rng.random(40) < 0.05)[0]}
        now = [Sender(m.account, m.domain, m.weight, 0.3 if m.account in bad else None) for m in mailers]
        # Six minutes, an hour apart: lists change between hours, not within.
        state, told = play(
            state,
            range(hour * 60, hour * 60 + 6),
            lambda k, now=now: mail(rng, k, now, per_minute=100, rate=USUAL_RATE),
        )
        assert not told


@given(st.sampled_from(["corporate", "other", "example.org", "", "GMAIL"]), st.integers(1, 5))
def test_what_is_no_named_provider_is_never_held(provider: str, number: int) -> None:
    refused = [pulse(number, f"a{i}", f"d{i}", 100, 100, provider=provider) for i in range(9)]
    state = ProviderState(provider=provider)

    assert observe(state, refused, POLICY, minute(6)) == (state, ())
    assert not is_guarded(provider)


def test_every_named_provider_is_guarded() -> None:
    assert {p for p in PROVIDERS if not is_guarded(p)} == {"corporate", "other"}
