"""A rate as it is told: what was seen, how sure that is, and what to show of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postloop.domain.intervals import corrected_lower, corrected_wilson
from postloop.domain.reputation.counts import WindowCounts

RateVerdict = Literal["good", "watch", "warning", "critical", "not_enough_data"]
RateName = Literal[
    "complaints",
    "hard_bounces",
    "soft_bounces",
    "refusals",
    "refusals_content",
    "refusals_authentication",
    "refusals_standing",
    "unsubscribes",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many of so many, as fractions.

    Attributes:
        bad_count: Counted; late feedback can exceed the mail of the window.
        base_count: Of how many.
        rate: `bad_count / base_count`, capped at 1; None without a base: no mail, no opinion.
        low, high: Ends of the interval, see `domain.intervals.corrected_wilson`.
    """

    bad_count: int
    base_count: int
    rate: float | None
    low: float
    high: float

    def shrunk(self, *, prior_rate: float, prior_count: int) -> float:
        """Return the rate to display: as if `prior_count` more mails had behaved like everybody's (`prior_rate`).

        With little mail it stays near the usual, with much it is the rate itself. It decides nothing.
        """
        base = max(self.base_count, self.bad_count)
        return (self.bad_count + prior_count * prior_rate) / (base + prior_count)


def rate_of(*, bad_count: int, base_count: int, z: float) -> Rate:
    """Return a rate with its interval; [0, 1] where there is no base.

    More bad events than mail (complaints come days after a delivery) are taken as of that many mails.
    """
    if not base_count:
        return Rate(bad_count=bad_count, base_count=0, rate=None, low=0.0, high=1.0)
    bounds = corrected_wilson(hit_count=bad_count, count=max(base_count, bad_count), z=z)
    rate = min(bad_count / base_count, 1.0)
    return Rate(bad_count=bad_count, base_count=base_count, rate=rate, low=bounds.low, high=bounds.high)


def low_of(*, bad_count: int, base_count: int, z: float) -> float:
    """Return the lower bound alone, of a rate with a base above 0."""
    return corrected_lower(hit_count=bad_count, count=max(base_count, bad_count), z=z)


def all_rates(counts: WindowCounts, *, z: float) -> dict[RateName, Rate]:
    """Return every rate of a window, those that only inform among them."""
    outcomes, delivered = counts.outcome_count, counts.delivered_count
    shares: dict[RateName, tuple[int, int]] = {
        "complaints": counts.share_of("complaints"),
        "hard_bounces": counts.share_of("hard_bounces"),
        "soft_bounces": (counts.soft_bounce_count, outcomes),
        "refusals": counts.share_of("refusals"),
        "refusals_content": (counts.content_refusal_count, outcomes),
        "refusals_authentication": (counts.authentication_refusal_count, outcomes),
        "refusals_standing": (counts.standing_refusal_count, outcomes),
        "unsubscribes": (counts.unsubscribe_count, delivered),
    }
    return {name: rate_of(bad_count=bad, base_count=base, z=z) for name, (bad, base) in shares.items()}
