"""Mail to one provider, minute by minute: pulses as workers would count them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from postloop.domain.incident import (
    DEFAULT_GUARD_POLICY,
    MINUTE_MS,
    GuardPolicy,
    IncidentEnded,
    IncidentStarted,
    ProviderState,
    Pulse,
    Transition,
    observe,
)
from postloop.domain.incident.state import Baseline

T0_MS = 1_790_000_040_000  # the beginning of a minute
USUAL_RATE = 0.01


def minute(number: int) -> int:
    """Return the beginning of a minute of the test, in milliseconds."""
    return T0_MS + number * MINUTE_MS


def pulse(
    number: int, account: str, domain: str, outcomes: int, hard: int, *, provider: str = "gmail"
) -> Pulse:
    return Pulse(
        provider=provider,
        minute_ms=minute(number),
        account_id=account,
        sender_domain=domain,
        outcome_count=outcomes,
        hard_count=hard,
    )


def experienced(
    *, per_minute: float = 100.0, rate: float = USUAL_RATE, provider: str = "gmail"
) -> ProviderState:
    """Return a state that has seen a steady rate for long: a half life of a day remembers 1.44 days."""
    outcomes = per_minute * 1_440 * 1.44
    return ProviderState(provider=provider, baseline=Baseline(outcomes, outcomes * rate, minute(-31)))


@dataclass(frozen=True)
class Sender:
    """An account with one sender domain: its part of the mail, and its own hard rate where it is not the usual."""

    account: str
    domain: str
    weight: float = 1.0
    rate: float | None = None


def senders(
    account_count: int, domain_count: int, *, skew: float = 0.0, rate: float | None = None
) -> list[Sender]:
    """Return so many accounts with so many domains among them; with a skew of 1 the n-th sends 1/n of the first."""
    return [
        Sender(f"a{i % account_count}", f"d{i}.example", (i + 1) ** -skew, rate) for i in range(domain_count)
    ]


def mail(
    rng: np.random.Generator, number: int, mailers: Sequence[Sender], *, per_minute: float, rate: float
) -> list[Pulse]:
    """Return the pulses of one minute: Poisson many outcomes, each hard with the rate."""
    weights = np.array([s.weight for s in mailers])
    outcomes = rng.poisson(per_minute * weights / weights.sum())
    hard = rng.binomial(outcomes, [max(rate, s.rate or 0.0) for s in mailers])
    counts = zip(mailers, outcomes.tolist(), hard.tolist(), strict=True)
    return [pulse(number, s.account, s.domain, n, x) for s, n, x in counts if n]


def play(
    state: ProviderState,
    minutes: Iterable[int],
    pulses_of: Callable[[int], Sequence[Pulse]],
    policy: GuardPolicy = DEFAULT_GUARD_POLICY,
) -> tuple[ProviderState, list[Transition]]:
    """Return what becomes of a state when each minute's pulses are seen at its end."""
    told: list[Transition] = []
    for number in minutes:
        state, transitions = observe(state, pulses_of(number), policy, minute(number + 1))
        told += transitions
    return state, told


def starts(told: Iterable[Transition]) -> list[IncidentStarted]:
    return [t for t in told if isinstance(t, IncidentStarted)]


def ends(told: Iterable[Transition]) -> list[IncidentEnded]:
    return [t for t in told if isinstance(t, IncidentEnded)]


def refused_mail(number: int) -> list[Pulse]:
    return [pulse(number, f"a{i % 6}", f"d{i}.example", 20, 18) for i in range(12)]


def usual_mail(number: int) -> list[Pulse]:
    return [pulse(number, f"a{i % 6}", f"d{i}.example", 20, 0) for i in range(12)]


_names = st.sampled_from([f"n{i}" for i in range(8)]) | st.text(max_size=80)


def pulses_about(
    accounts: st.SearchStrategy[str], domains: st.SearchStrategy[str]
) -> st.SearchStrategy[Pulse]:
    counts = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted)
    return st.builds(
        lambda number, account, domain, c: pulse(number, account, domain, c[1], c[0]),
        st.integers(0, 12),
        accounts,
        domains,
        counts,
    )


any_pulses = st.lists(pulses_about(_names, _names), max_size=60)
