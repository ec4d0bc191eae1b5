"""The health of a sender domain as one document for programs, and as a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from postloop.adapters.domain_reader import Day, Latency, PoolChange
from postloop.adapters.reputation_store import CurrentRow, Subject
from postloop.cli.domain_parts import Part, history, parts, show_parts, show_tencent, tencent
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
    grade_text,
    score,
)

_WINDOWS: Final[tuple[WindowName, ...]] = ("24h", "7d", "30d")
_LIST_TITLES: Final = ("grade", "score", "account", "domain", "complaints", "hard", "refused", "advice")
_NAMES: Final = slice(2, 4)
_SHORTEST_NAME: Final = 8
# From here on there is room for intervals.
_WIDE: Final = 150
_BARS: Final = "▁▂▃▄▅▆▇█"
_STYLES: Final = {"high": "green", "medium": "yellow", "low": "dark_orange", "bad": "red", "unknown": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of one account's mail from a sender domain.

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
    pools: Sequence[PoolChange]
    latencies: Sequence[Latency]
    days: Sequence[Day]
    providers: Sequence[Part] = ()
    ip_pools: Sequence[Part] = ()
    tencent: TencentView | None = None
    open_days: Sequence[OpenDay] = ()


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
        "days": [
            {**{name: getattr(day, name) for name in Day.__slots__}, "day": f"{day.day}"}
            for day in health.days
        ],
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


def show(said: dict[str, Any], console: Console) -> None:
    """Draw a document."""
    grade = said["grade"]
    points = "" if said["score"] is None else f" {said['score']:.1f}"
    name = f"{said['sender_domain']} of {said['account_id'] or 'all accounts'}"
    console.print(f"[bold]{escape(name)}[/]  [{_STYLES[grade]}]{grade}{points}[/]  {grade_text(grade)}")
    if said["recommendation"] != "none":
        console.print(f"recommended: [bold]{said['recommendation']}[/]")
    console.print(_rate_table(said["rates"]))
    for action in said["actions"]:
        console.print(f"- {action['text']}")
    show_parts("with", said["mailbox_providers"], console)
    show_parts("over pool", said["ip_pools"], console)
    if said["tencent"] is not None:
        show_tencent(said["tencent"], console)
    for opens in said["opens"]:
        console.print(f"opens, {opens['mail_class']}: {opens['text']}")
    if said["open_history"] is not None:
        days = [day["human_count"] for day in said["open_history"]["days"]]
        console.print(f"{'opened':>13} {sparkline(days)} notifications by day of sending")
    for pool in said["pools"]:
        if pool["verdict"] not in ("none", "not_enough_data"):
            console.print(f"pool {escape(pool['ip_pool'])} ({pool['kind']}): {pool['text']}")
    for latency in said["delivery_time"]:
        console.print(
            f"to {latency['mailbox_provider']}: half within {latency['p50_s']:.1f} s, 95 % within "
            f"{latency['p95_s']:.1f} s, {_percent(latency['delayed_rate'])} later than 5 minutes"
        )
    for title, key in (
        ("delivered", "delivered_count"),
        ("hard bounces", "hard_bounce_count"),
        ("complaints", "complaint_count"),
    ):
        counts = [day[key] for day in said["days"]]
        console.print(f"{title:>13} {sparkline(counts)} {sum(counts):,}")


def show_list(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Draw senders as a table of one line each: with intervals where there is room, long names cut."""
    is_wide = console.width >= _WIDE
    cells = [
        (
            row["grade"],
            "" if row["score"] is None else f"{row['score']:.1f}",
            row["account_id"],
            row["sender_domain"],
            *(_share(row, name, is_wide=is_wide) for name in ("complaint", "hard_bounce", "refusal")),
            "" if row["recommendation"] == "none" else row["recommendation"],
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(_LIST_TITLES, *cells, strict=True)]
    room = max(console.width - sum(widths) + sum(widths[_NAMES]) - len(widths), 2 * _SHORTEST_NAME)
    account_width = min(widths[_NAMES][0], max(room - widths[_NAMES][1], room // 3))
    widths[_NAMES] = [account_width, min(widths[_NAMES][1], room - account_width)]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for title, width in zip(_LIST_TITLES, widths, strict=True):
        table.add_column(title, no_wrap=True, overflow="ellipsis", max_width=width)
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(f"[{_STYLES[row['grade']]}]{row['grade']}[/]", *map(escape, texts[1:]))
    console.print(table)


def sparkline(counts: Sequence[int]) -> str:
    """Return one bar a number: the highest is full, nothing is a space."""
    most = max(counts, default=0)
    return "".join(" " if not count else _BARS[(count * (len(_BARS) - 1)) // most] for count in counts)


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


def _rate_table(rates: dict[str, Any]) -> Table:
    table = Table("rate", *rates, box=None)
    for name in next(iter(rates.values())):
        cells = (rates[window][name] for window in rates)
        table.add_row(name.replace("_", " "), *(_interval(c["rate"], c["low"], c["high"]) for c in cells))
    return table


def _share(row: dict[str, Any], name: str, *, is_wide: bool) -> str:
    rate, low, high = (row[f"{name}_{part}"] for part in ("rate", "low", "high"))
    return _interval(rate, low, high) if is_wide else _percent(rate)


def _interval(rate: float | None, low: float, high: float) -> str:
    return "no mail" if rate is None else f"{_percent(rate)} ({_percent(low)} to {_percent(high)})"


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate * 100:.2f} %"
