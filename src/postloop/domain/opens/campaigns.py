"""How campaigns, subjects or templates of one class compare: what each does to opens and to complaints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from statistics import NormalDist
from typing import Final, Literal

from postloop.domain.intervals import Interval, wilson

Effect = Literal["better", "worse", "no_difference", "not_enough_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPolicy:
    """When a difference counts.

    Attributes:
        confidence: Of all statements of one ranking together: each is the surer, the more are compared.
        min_visible_count: Deliveries that can be seen, of the campaign and of all others, for opens.
        min_reporting_count: Deliveries to providers that report complaints, likewise for complaints.
    """

    confidence: float = 0.95
    min_visible_count: int = 100
    min_reporting_count: int = 300


DEFAULT_CAMPAIGN_POLICY: Final = CampaignPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Counts of what shares a campaign, a subject or a template.

    Attributes:
        visible_count: Deliveries whose opens can be seen; where they are not known, deliveries.
        human_count: Messages opened by a person.
        reporting_count: Deliveries to providers that report complaints.
    """

    name: str
    visible_count: int
    human_count: int
    reporting_count: int
    complaint_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A campaign's rate less that of all others together, and what that may be; None where one side is empty."""

    rate: float | None
    difference: float | None
    interval: Interval
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One campaign beside the others. More opens are better, more complaints are worse."""

    campaign: Campaign
    opens: Difference
    complaints: Difference


def rank_campaigns(
    campaigns: Sequence[Campaign], policy: CampaignPolicy = DEFAULT_CAMPAIGN_POLICY
) -> list[Comparison]:
    """Return the campaigns of one class, the best first.

    Who draws complaints stands last whatever its opens: they cannot be paid with opens. Then counts what the opens
    are at least better than those of the others (the lower bound), so that few deliveries with luck win nothing.
    """
    # Two statements a campaign (Bonferroni): with twenty of them, one in twenty would differ by chance alone.
    share = (1 - policy.confidence) / max(2 * len(campaigns), 1)
    z = NormalDist().inv_cdf(1 - share / 2)
    compared = [_compared(one, campaigns, policy, z=z) for one in campaigns]
    return sorted(compared, key=_place)


def _place(comparison: Comparison) -> tuple[bool, float, str]:
    draws_complaints = comparison.complaints.effect == "worse"
    return draws_complaints, -comparison.opens.interval.low, comparison.campaign.name


def _compared(
    one: Campaign, campaigns: Sequence[Campaign], policy: CampaignPolicy, *, z: float
) -> Comparison:
    visible = sum(c.visible_count for c in campaigns) - one.visible_count
    human = sum(c.human_count for c in campaigns) - one.human_count
    reporting = sum(c.reporting_count for c in campaigns) - one.reporting_count
    complaints = sum(c.complaint_count for c in campaigns) - one.complaint_count
    return Comparison(
        campaign=one,
        opens=_difference(
            (one.human_count, one.visible_count),
            (human, visible),
            least=policy.min_visible_count,
            more="better",
            z=z,
        ),
        complaints=_difference(
            (one.complaint_count, one.reporting_count),
            (complaints, reporting),
            least=policy.min_reporting_count,
            more="worse",
            z=z,
        ),
    )


def _difference(
    own: tuple[int, int], others: tuple[int, int], *, least: int, more: Literal["better", "worse"], z: float
) -> Difference:
    """Return the difference of two shares (hits, cases) by Newcombe's method 10 (1998), Wilson's bounds joined."""
    own_rate, other_rate = _rate(*own), _rate(*others)
    if own_rate is None or other_rate is None:
        return Difference(rate=own_rate, difference=None, interval=Interval(-1, 1), effect="not_enough_data")
    own_bounds, other_bounds = wilson(*own, z=z), wilson(*others, z=z)
    difference = own_rate - other_rate
    interval = Interval(
        difference - hypot(own_rate - own_bounds.low, other_bounds.high - other_rate),
        difference + hypot(own_bounds.high - own_rate, other_rate - other_bounds.low),
    )
    less: Effect = "worse" if more == "better" else "better"
    effect: Effect = more if interval.low > 0 else less if interval.high < 0 else "no_difference"
    if min(own[1], others[1]) < least:
        effect = "not_enough_data"
    return Difference(rate=own_rate, difference=difference, interval=interval, effect=effect)


def _rate(hits: int, cases: int) -> float | None:
    return min(hits / cases, 1.0) if cases else None
