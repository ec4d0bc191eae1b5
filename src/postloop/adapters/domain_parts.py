"""What a sender domain's mail says by its parts: by mailbox provider, pool, day of sending, and on Tencent's levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postloop.domain.opens import OpenDay, OpenHistory, Trend, observe_days
from postloop.domain.reputation import (
    FACTORS,
    Condition,
    Evidence,
    ReputationPolicy,
    TencentView,
    rate_of,
    score,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a domain's mail: a mailbox provider, or a pool with its kind."""

    name: str
    evidence: Evidence
    kind: str = ""


def parts(found: Sequence[Part], policy: ReputationPolicy) -> list[dict[str, Any]]:
    """Return the verdict on each part by itself, as JSON values; those with most mail first."""
    return [
        _part(part, policy)
        for part in sorted(found, key=lambda part: -part.evidence.counts("30d").outcome_count)
    ]


def tencent(view: TencentView) -> dict[str, Any]:
    """Return what Tencent's rule says, as JSON values."""
    return {
        "level": view.level,
        "daily_cap": view.daily_cap,
        "outcome": view.outcome,
        "next_level": view.next_level,
        "failed": [_condition(condition) for condition in view.failed],
    }


def history(days: Sequence[OpenDay]) -> tuple[Trend, dict[str, Any] | None]:
    """Return what days of notifications say, and the days as JSON values; None without any."""
    if not days:
        return "unknown", None
    found = observe_days(OpenHistory(), days)
    return found.trend(), {
        "mail_class": "notification",
        "trend": found.trend(),
        "usual_rate": found.usual_rate,
        "days": [
            {"day": f"{one.day}", "visible_count": one.visible_count, "human_count": one.human_count}
            for one in days
        ],
    }


def _part(part: Part, policy: ReputationPolicy) -> dict[str, Any]:
    found, counts = score(part.evidence, policy), part.evidence.counts("30d")
    rates = {}
    for factor in FACTORS:
        bad, base = counts.share_of(factor)
        rate = rate_of(bad_count=bad, base_count=base, z=policy.bound_z)
        rates[factor] = {"rate": rate.rate, "low": rate.low, "high": rate.high}
    return {
        "name": part.name,
        "kind": part.kind,
        "score": found.score,
        "grade": found.grade,
        "outcome_count": counts.outcome_count,
        "rates": rates,
    }


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "name": condition.name,
        "value": condition.value,
        "limit": condition.limit,
        "is_upper": condition.is_upper,
        "distance_count": condition.distance_count,
        "text": _sentence(condition),
    }


def _sentence(condition: Condition) -> str:
    name = condition.name.replace("_", " ")
    wanted = f"{'below' if condition.is_upper else 'from'} {condition.limit * 100:g} %"
    if condition.value is None:
        return f"{name}: not known, wanted {wanted}"
    missing = ""
    if condition.distance_count:
        missing = f", {condition.distance_count:,} mails {'fewer' if condition.is_upper else 'more'}"
    return f"{name}: {condition.value * 100:.2f} %, wanted {wanted}{missing}"
