"""What is more than usual: the statistics of the guard, each a function of counts and a baseline."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from heapq import nlargest
from math import exp, log
from typing import Final

from postloop.domain.incident.counts import Counts
from postloop.domain.incident.policy import GuardPolicy
from postloop.domain.incident.state import Baseline
from postloop.domain.intervals import wilson_upper

# A bound of 1 could not be exceeded, and has no odds.
_HIGHEST_BOUND: Final = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A baseline as it is used.

    Attributes:
        rate: The best guess of the usual rate.
        upper_rate: The usual rate is hardly above this.
        limit_rate: An outage is at or above this.
    """

    rate: float
    upper_rate: float
    limit_rate: float

    def rate_towards_limit(self, share: float) -> float:
        """Return a rate on the way from the usual (0) to the limit (1)."""
        return self.upper_rate + share * (self.limit_rate - self.upper_rate)


def yardstick(baseline: Baseline, policy: GuardPolicy, *, at_ms: int) -> Yardstick:
    """Return what is usual at this moment: the older the knowledge, the wider the bound."""
    kept = baseline.kept_share(policy, at_ms=at_ms)
    outcomes = baseline.outcome_weight * kept + policy.prior_outcome_count
    rate = (baseline.hard_weight * kept + policy.prior_hard_count) / outcomes
    upper = min(wilson_upper(rate, outcomes, z=policy.bound_z), _HIGHEST_BOUND)
    odds = policy.odds_factor * upper / (1 - upper)
    return Yardstick(rate=rate, upper_rate=upper, limit_rate=max(policy.min_rate, odds / (1 + odds)))


def tail_bound(counts: Counts, rate: float) -> float:
    """Return at most how probable so many hard bounces or more are by chance, at this rate.

    Chernoff's bound of the binomial tail (W. Hoeffding, 1963, theorem 1): never below the true value, and as
    quick for a million outcomes as for three.
    """
    seen = counts.rate
    if seen <= rate:
        return 1.0
    divergence = seen * log(seen / rate)
    if seen < 1:
        divergence += (1 - seen) * log((1 - seen) / (1 - rate))
    return exp(-counts.outcome_count * divergence)


def is_window_excess(window: Counts, usual: Yardstick, policy: GuardPolicy) -> bool:
    """Return whether a window, whoever's mail it was, is too much for chance and enough to act on."""
    return (
        window.outcome_count >= policy.min_outcome_count
        and window.hard_count >= policy.min_hard_count
        and window.rate >= usual.limit_rate
        and tail_bound(window, usual.upper_rate) <= policy.window_tail
    )


def is_part_excess(part: Counts, usual: Yardstick, policy: GuardPolicy, *, share: float = 1.0) -> bool:
    """Return whether an account, a domain or a minute shows an excess of its own.

    Args:
        share: How far its rate must be on the way from the usual to the limit.
    """
    return (
        part.hard_count >= policy.min_part_hard_count
        and part.rate >= usual.rate_towards_limit(share)
        and tail_bound(part, usual.upper_rate) <= policy.part_tail
    )


def spread_count(
    window: Counts, parts: Collection[Counts], usual: Yardstick, policy: GuardPolicy, *, least: int
) -> int:
    """Return how many parts (accounts, or domains) show the excess of a window; 0 when it is not everybody's.

    An outage spares nobody, so all of this must hold. At least so many parts show an excess of their own. They are
    most of those that have enough mail to tell. Those that have too little, taken together, show it as well. And
    without the largest parts, one fewer than needed, the rest still shows it: else it is the excess of a few, with
    bystanders who have bad lists of their own.
    """
    exceeding = [part for part in parts if is_part_excess(part, usual, policy)]
    others = [part for part in parts if not is_part_excess(part, usual, policy)]
    spared = [part for part in others if part.outcome_count >= policy.telling_outcome_count]
    if len(exceeding) < max(least, policy.min_part_share * (len(exceeding) + len(spared))):
        return 0
    small = window - sum([*exceeding, *spared], Counts())
    if small.outcome_count >= policy.telling_outcome_count and not is_part_excess(
        small, usual, policy, share=policy.small_share
    ):
        return 0
    largest = nlargest(least - 1, parts, key=lambda part: part.hard_count)
    rest = window - sum(largest, Counts())
    return len(exceeding) if is_part_excess(rest, usual, policy) else 0
