"""A study with truth labels: how often a rule downgrades the innocent, and how soon it finds the guilty.

Complaints of a day are binomial with a true rate that is known, all deliveries to providers that report. Each rule
sees the counts of closed days, once a day, as the fixed rules do. Postloop's rule is the product's own code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from postloop.domain.reputation import (
    DAY_MS,
    PRESETS,
    Bucket,
    ReputationPolicy,
    ReputationState,
    WindowCounts,
    evaluate,
    evidence_at,
)

SIZES: Final = (300, 301, 1_000, 3_000, 10_000)
"""Sends a day. Tencent's rule judges from 301 on, so both sides of that edge."""
HEALTHY_RATES: Final = (0.0005, 0.0007, 0.001, 0.002, 0.003)
ILL_RATES: Final = (0.007, 0.01, 0.02)
USUAL_RATE: Final = 0.0005
"""Of a domain before it falls ill."""

_MEMORY_DAYS: Final = 30
_LONGEST_DAYS: Final = 60


class Rule(Protocol):
    """Says each day whether a domain is downgraded."""

    name: str
    line_rate: float

    def days(self, sends: int, complaints: Sequence[int]) -> Iterator[bool]:
        """Yield for each day whether the rule holds the domain down at its end."""
        ...


@dataclass(frozen=True)
class Tencent:
    """Fixed: more than 300 sends, and more than 0.5 % complaints on the day."""

    name: str = "Tencent, fixed"
    line_rate: float = 0.005

    def days(self, sends: int, complaints: Sequence[int]) -> Iterator[bool]:
        """See `Rule`."""
        return (sends > 300 and count > self.line_rate * sends for count in complaints)


@dataclass(frozen=True)
class CalibratedDay:
    """The best that one day's count can do with one false downgrade a year at a true 0.3 %.

    By the lemma of Neyman and Pearson no rule that looks at one day alone finds more at that price; this is what
    tells a better rule from one that is only set more strictly.
    """

    name: str = "One day, one false alarm a year"
    line_rate: float = 0.005

    def days(self, sends: int, complaints: Sequence[int]) -> Iterator[bool]:
        """See `Rule`."""
        least = _least_count(sends, 0.003, chance=1 / 365)
        return (count >= least for count in complaints)


@dataclass(frozen=True)
class Aws:
    """Fixed: complaints over the last sends reach the line. AWS keeps the volume secret and adapts it: assumed here."""

    name: str
    line_rate: float
    volume: int = 1_000

    def days(self, sends: int, complaints: Sequence[int]) -> Iterator[bool]:
        """See `Rule`."""
        length = -(-self.volume // sends)
        for day in range(len(complaints)):
            window = complaints[max(0, day + 1 - length) : day + 1]
            yield sum(window) >= self.line_rate * sends * len(window)


@dataclass(frozen=True)
class Postloop:
    """The product's rule; `grades` are those that count as held down, and `line_rate` the limit they stand for."""

    name: str
    line_rate: float
    policy: ReputationPolicy
    grades: frozenset[str]

    def days(self, sends: int, complaints: Sequence[int]) -> Iterator[bool]:
        """See `Rule`."""
        state = ReputationState()
        buckets: list[Bucket] = []
        for day, count in enumerate(complaints):
            buckets.append(Bucket(day * DAY_MS, _mail(sends, count)))
            del buckets[:-_MEMORY_DAYS]
            now_ms = (day + 1) * DAY_MS
            evidence = evidence_at(
                buckets, now_ms=now_ms, representative_count=self.policy.representative_count
            )
            state, _ = evaluate(state, evidence, self.policy, now_ms)
            yield state.standing.grade in self.grades


_DOWN: Final = frozenset({"low", "bad"})
_BAD: Final = frozenset({"bad"})
RULES: Final[tuple[Rule, ...]] = (
    Tencent(),
    CalibratedDay(),
    Aws("AWS pause, fixed", 0.005),
    # The presets of Tencent and AWS have the same limits for complaints.
    Postloop("Postloop, bad at 0.5 %", 0.005, PRESETS["tencent"], _BAD),
    Postloop("Postloop, bad at 0.3 % (default)", 0.003, PRESETS["default"], _BAD),
    Aws("AWS review, fixed", 0.001),
    Postloop("Postloop, low at 0.1 % (default)", 0.001, PRESETS["default"], _DOWN),
)


@dataclass(frozen=True, kw_only=True)
class Healthy:
    """What a rule does to a domain whose true rate is steady and not above the rule's line.

    Attributes:
        down_day_rate: Share of days held down.
        downgrades_a_year: How often it is newly held down.
        unharmed_rate: Share of domains never held down in the time looked at.
    """

    rule: str
    sends: int
    true_rate: float
    down_day_rate: float
    downgrades_a_year: float
    unharmed_rate: float


@dataclass(frozen=True, kw_only=True)
class Ill:
    """How soon a rule finds a domain whose rate jumps from the usual to one above the rule's line.

    Attributes:
        mean_days: From the jump, 1 is the first day; those not found count as `_LONGEST_DAYS`. None: none found.
        p90_days: Nine of ten are found by then; None: they are not.
        found_rate: Share found within `_LONGEST_DAYS` days.
    """

    rule: str
    sends: int
    true_rate: float
    mean_days: float | None
    p90_days: float | None
    found_rate: float


def study_healthy(rule: Rule, *, sends: int, true_rate: float, domains: int, days: int, seed: int) -> Healthy:
    """Return what a rule does to so many domains in so many days, after 30 days that do not count."""
    draw = np.random.default_rng([seed, sends, round(true_rate * 1e6)])
    complaints = draw.binomial(sends, true_rate, size=(domains, _MEMORY_DAYS + days)).tolist()
    down = np.array([list(rule.days(sends, one)) for one in complaints], dtype=bool)
    before, after = down[:, _MEMORY_DAYS - 1 : -1], down[:, _MEMORY_DAYS:]
    return Healthy(
        rule=rule.name,
        sends=sends,
        true_rate=true_rate,
        down_day_rate=float(after.mean()),
        # A rule of one day costs a level on each such day; a held grade falls once.
        downgrades_a_year=float(
            (after if isinstance(rule, Tencent | CalibratedDay) else after & ~before).mean() * 365
        ),
        unharmed_rate=float((~after.any(axis=1)).mean()),
    )


def study_ill(rule: Rule, *, sends: int, true_rate: float, domains: int, seed: int) -> Ill:
    """Return how soon a rule finds so many domains that fall ill after 30 good days.

    A domain that is held down before it falls ill is left out: it was found by mistake.
    """
    draw = np.random.default_rng([seed, sends, round(true_rate * 1e6), 1])
    waits = []
    for _ in range(domains):
        good = draw.binomial(sends, USUAL_RATE, size=_MEMORY_DAYS)
        ill = draw.binomial(sends, true_rate, size=_LONGEST_DAYS)
        states = rule.days(sends, [*good.tolist(), *ill.tolist()])
        held = [next(states) for _ in range(_MEMORY_DAYS)]
        if not held[-1]:
            waits.append(next((day for day, down in enumerate(states, start=1) if down), None))
    found = np.array([_LONGEST_DAYS if wait is None else wait for wait in waits], dtype=float)
    found_rate = sum(wait is not None for wait in waits) / max(len(waits), 1)
    return Ill(
        rule=rule.name,
        sends=sends,
        true_rate=true_rate,
        mean_days=float(found.mean()) if found_rate else None,
        p90_days=float(np.quantile(found, 0.9, method="higher")) if found_rate >= 0.9 else None,
        found_rate=found_rate,
    )


def _least_count(sends: int, rate: float, *, chance: float) -> int:
    """Return the smallest count that is reached or passed with at most this chance, of binomial counts."""
    at_least, probability = 1.0, (1 - rate) ** sends
    for count in range(sends + 1):
        if at_least <= chance:
            return count
        at_least -= probability
        probability *= (sends - count) / (count + 1) * rate / (1 - rate)
    return sends + 1


def _mail(sends: int, complaints: int) -> WindowCounts:
    return WindowCounts(delivered_count=sends, reporting_delivered_count=sends, complaint_count=complaints)
