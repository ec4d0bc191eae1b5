"""The health of a sender domain: what is asked about it, and the answer as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from postloop.adapters.domain_parts import Part, history, parts, tencent
from postloop.adapters.domain_reader import DomainReader, Latency, Point, PoolChange
from postloop.adapters.reputation_store import CurrentRow, ReputationReader, Subject
from postloop.contracts.fields import rfc3339
from postloop.domain.opens import OpenCounts, OpenDay, Trend, judge_opens
from postloop.domain.opens import describe as describe_opens
from postloop.domain.pool import describe as describe_pool
from postloop.domain.reputation import (
    DEFAULT_REPUTATION_POLICY,
    Evidence,
    ReputationPolicy,
    TencentView,
    WindowName,
    action_text,
    actions,
    all_rates,
    score,
    tencent_ladder,
)

RUNNING: Final = timedelta(minutes=1)
"""Added to now, where evidence is asked for: the minute that runs counts as well."""
DAYS: Final = 14
# A sender is on level 1 of Tencent's before that.
_LADDER_DAYS: Final = timedelta(days=90)
_DAY_COUNTS: Final = ("delivered_count", "hard_bounce_count", "complaint_count")
_WINDOWS: Final[tuple[WindowName, ...]] = ("24h", "7d", "30d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of one account's mail from a sender domain.

    What has a default takes longer to read: nothing of it where it was not asked for.

    Attributes:
        subject: With an empty account it is about all accounts together.
        current: What was last said of it; None: it was never judged.
        providers: With each mailbox provider.
        ip_pools: Over each IP pool.
        tencent: What Tencent's rule says of the last whole day.
        open_days: Notifications by day of sending.
    """

    subject: Subject
    evidence: Evidence
    current: CurrentRow | None
    opens: Sequence[OpenCounts]
    latencies: Sequence[Latency]
    series: Mapping[str, Sequence[Point]]
    pools: Sequence[PoolChange] = ()
    providers: Sequence[Part] = ()
    ip_pools: Sequence[Part] = ()
    tencent: TencentView | None = None
    open_days: Sequence[OpenDay] = ()


Standing = tuple[Subject, Evidence, CurrentRow | None]
"""A pair of account and sender domain, what its mail says, and what was last said of it."""


def standings(evidence: Sequence[tuple[Subject, Evidence]], current: Sequence[CurrentRow]) -> list[Standing]:
    """Return every pair of which there is mail or a verdict, sorted."""
    said = {Subject(row.account_id, row.sender_domain): row for row in current}
    mail = dict(evidence)
    return [
        (subject, mail.get(subject, Evidence({})), said.get(subject)) for subject in sorted({*said, *mail})
    ]


def read_health(
    reader: DomainReader, reputation: ReputationReader, standing: Standing, *, now: datetime
) -> Health:
    """Return everything about a pair, one question after the other. Blocks."""
    subject, evidence, current = standing
    pair = (subject.account_id, subject.sender_domain)
    past = reader.past(*pair, now=now)
    return Health(
        subject=subject,
        evidence=evidence,
        current=current,
        opens=past.opens,
        pools=reader.pools(*pair),
        latencies=reader.latencies(*pair),
        series=past.series,
        open_days=reader.open_days(*pair),
        **read_parts(reputation, subject, now=now),
    )


def read_parts(reputation: ReputationReader, subject: Subject, *, now: datetime) -> dict[str, Any]:
    """Return `providers`, `ip_pools` and `tencent` of the health of a pair: of its own mail alone. Blocks."""
    pair, as_of = (subject.account_id, subject.sender_domain), now + RUNNING
    today = as_of.date()
    days = next(reputation.daily(today - _LADDER_DAYS, today, subject=subject), (subject, []))[1]
    by_provider = reputation.evidence_of(*pair, as_of=as_of, by_provider=True)
    by_pool = reputation.by_pool(*pair, as_of=as_of)
    return {
        "providers": [Part(one.mailbox_provider, with_one) for one, with_one in by_provider],
        "ip_pools": [Part(name, over_one, kind) for name, kind, over_one in by_pool],
        "tencent": tencent_ladder(day.counts for day in days),
    }


def read_whole(reputation: ReputationReader, sender_domain: str, *, now: datetime) -> Health:
    """Return what the mail of all accounts that send from a domain says together. Blocks."""
    return Health(
        subject=Subject("", sender_domain),
        evidence=reputation.of_everybody(sender_domain, as_of=now + RUNNING),
        current=None,
        opens=(),
        latencies=(),
        series={},
    )


def document(health: Health, *, policy: ReputationPolicy = DEFAULT_REPUTATION_POLICY) -> dict[str, Any]:
    """Return everything as JSON values. The standing is the published one where there is one."""
    found, current = score(health.evidence, policy), health.current
    recommendation: Any = "none" if current is None else current.recommendation
    trend, opened = history(health.open_days)
    return {
        "account_id": health.subject.account_id or None,
        "sender_domain": health.subject.sender_domain,
        "score": found.score if current is None else current.score,
        "grade": found.grade if current is None else current.grade,
        "grade_by_counts": found.grade,
        "recommendation": recommendation,
        "judged_at": None if current is None else rfc3339(current.at),
        "factors": [
            {
                "name": factor.name,
                "window": factor.window,
                "rate": factor.rate.rate,
                "low": factor.rate.low,
                "high": factor.rate.high,
                "weight": factor.weight,
                "verdict": factor.verdict,
                "to_next_grade": factor.to_next_grade,
            }
            for factor in found.factors
        ],
        "actions": [{"code": code, "text": action_text(code)} for code in actions(found, recommendation)],
        "rates": {window: _rates(health.evidence, window, policy) for window in _WINDOWS},
        "mailbox_providers": parts(health.providers, policy),
        "ip_pools": parts(health.ip_pools, policy),
        "tencent": None if health.tencent is None else tencent(health.tencent),
        "opens": [_opens(counts, trend) for counts in health.opens],
        "open_history": opened,
        "pools": [
            {
                "ip_pool": pool.ip_pool,
                "kind": pool.change.kind,
                "measure": pool.change.measure,
                "verdict": pool.change.verdict,
                "before_rate": pool.change.before_rate,
                "after_rate": pool.change.after_rate,
                "common_part": pool.change.common_part,
                "own_part": pool.change.own_part,
                "text": describe_pool(pool.change),
            }
            for pool in health.pools
        ],
        "delivery_time": [
            {name: getattr(latency, name) for name in Latency.__slots__} for latency in health.latencies
        ],
        "days": _days(health.series.get("day", ())),
        "series": {
            name: [{**asdict(point), "at": rfc3339(point.at)} for point in points]
            for name, points in health.series.items()
        },
    }


def summary(row: CurrentRow) -> dict[str, Any]:
    """Return what is said of one sender, for lists."""
    names = ("account_id", "sender_domain", "score", "grade", "recommendation", "outcome_count")
    rates = ("complaint", "hard_bounce", "refusal")
    return {
        **{name: getattr(row, name) for name in names},
        **{
            f"{name}_{part}": getattr(row, f"{name}_{part}")
            for name in rates
            for part in ("rate", "low", "high")
        },
        "at": rfc3339(row.at),
    }


def _days(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the days up to the last one with mail, none when there was none in these two weeks."""
    counted = [
        {"day": f"{point.at:%Y-%m-%d}", **{name: getattr(point, name) for name in _DAY_COUNTS}}
        for point in points
    ]
    recent = [
        place
        for place in range(max(len(points) - DAYS, 0), len(points))
        if any(counted[place][n] for n in _DAY_COUNTS)
    ]
    return counted[max(recent[-1] - DAYS + 1, 0) : recent[-1] + 1] if recent else []


def _rates(evidence: Evidence, window: WindowName, policy: ReputationPolicy) -> dict[str, Any]:
    rates = all_rates(evidence.counts(window), z=policy.bound_z)
    return {
        name: {
            "count": rate.bad_count,
            "of_count": rate.base_count,
            "rate": rate.rate,
            "low": rate.low,
            "high": rate.high,
        }
        for name, rate in rates.items()
    }


def _opens(counts: OpenCounts, trend: Trend) -> dict[str, Any]:
    report = judge_opens(counts, trend=trend if counts.mail_class == "notification" else "unknown")
    return {
        "mail_class": report.mail_class,
        "verdict": report.verdict,
        "open_rate": report.human_rate,
        "raw_open_rate": report.raw_rate,
        "blind_rate": report.blind_rate,
        "text": describe_opens(report),
    }
