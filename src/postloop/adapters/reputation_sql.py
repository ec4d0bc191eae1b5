"""The query that makes the evidence of `domain.reputation` of the rollups, for many sender domains at once.

The last hour and day are counted by minutes, what is longer by hours. The hour that runs counts as far as it is known:
without it a domain that begins to send would be unknown until the hour is over.
"""

# ruff: noqa: S608 - names and numbers in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from postloop.adapters.migration_render import Layout
from postloop.domain.bounce import Reason
from postloop.domain.providers import REPORTS_COMPLAINTS
from postloop.domain.reputation import RefusalKind, WindowName, refusal_kind
from postloop.domain.reputation.counts import COUNT_NAMES
from postloop.domain.reputation.windows import COMPLAINT_LAG_DAYS

PAIR: Final = ("account_id", "sender_domain")
WINDOWS: Final[tuple[WindowName, ...]] = ("1h", "24h", "7d", "30d", "recent")
_AS_OF: Final = "toDateTime({as_of:UInt32}, 'UTC')"
_MONTH: Final = f"{_AS_OF} - toIntervalDay(30)"
_RECENT: Final = "{recent:UInt32}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _refusals(kind: RefusalKind) -> str:
    reasons = [reason for reason in get_args(Reason) if refusal_kind(reason) == kind]
    return f"sumIf(r.refusal_count, cube = 'bounce' AND r.reason IN ({_listed(reasons)}))"


def _events(column: str) -> str:
    return f"sumIf({column}, cube = 'domain')"


_REPORTING: Final = _listed(list(REPORTS_COMPLAINTS))
_REPORTED: Final = f"sumIf(r.complaint_count, cube = 'domain' AND r.mailbox_provider IN ({_REPORTING}))"
_COUNTED: Final[dict[str, str]] = {
    "send_count": _events("r.send_count - r.rejected_count - r.suppressed_count"),
    "content_refusal_count": _refusals("content"),
    "authentication_refusal_count": _refusals("authentication"),
    "standing_refusal_count": _refusals("standing"),
    "complaint_count": _REPORTED,
}
"""How a count is made of rollup rows, where it is not the sum of the column of its name."""
_COUNTED_BY_POOL: Final[dict[str, str]] = _COUNTED | {
    "content_refusal_count": "sumIf(r.refusal_count, 0)",
    "authentication_refusal_count": "sumIf(r.refusal_count, 0)",
    "standing_refusal_count": _events("r.refusal_count"),
}


def columns() -> tuple[str, ...]:
    """Return the names of the columns behind the dimensions: each count of each window, then the peak."""
    return (*(_named(window, name) for window in WINDOWS for name in COUNT_NAMES), "peak_reporting_count")


def evidence_query(layout: Layout, *, which: str, dimensions: Sequence[str] = PAIR) -> str:
    """Return the query for one row a subject: its dimensions, then `columns()`.

    Args:
        which: A condition on rollup rows that selects subjects.
        dimensions: What makes a subject. Bounces by reason are counted without their pool: by `ip_pool` all refusals
            are of one kind.

    Parameters of the query: `as_of` (seconds since 1970, a whole minute), `recent` (outcomes that are representative).
    """
    dims = ", ".join(dimensions)
    parts = " UNION ALL ".join(
        (_minutes(layout, which, dims), _hours(layout, which, dims), _recent(layout, which, dims))
    )
    summed = ", ".join(f"toInt64(greatest(sum(p.{name}), 0)) AS {name}" for name in columns())
    return f"SELECT {dims}, {summed} FROM ({parts}) AS p GROUP BY {dims} ORDER BY {dims}"


def daily_query(layout: Layout, *, which: str = "1") -> str:
    """Return the query for (account, sender domain, day, then each of `COUNT_NAMES`) of whole UTC days, in that order.

    Args:
        which: A condition on rollup rows that selects senders.

    Parameters of the query: `from` and `to`, dates; the last one is excluded.
    """
    sums = ", ".join(f"toInt64(greatest({_sum(name, '')}, 0)) AS {name}" for name in COUNT_NAMES)
    return (
        f"SELECT account_id, sender_domain, toDate(bucket) AS day, {sums} "
        f"FROM {layout.readable('rollup_hour')} AS r WHERE cube IN ('domain', 'bounce') "
        "AND bucket >= {from:Date} AND bucket < {to:Date} "
        "AND toMonday(bucket) >= toMonday({from:Date}) AND toMonday(bucket) <= toMonday({to:Date}) "
        f"AND {which} GROUP BY account_id, sender_domain, day ORDER BY account_id, sender_domain, day"
    )


def _minutes(layout: Layout, which: str, dims: str) -> str:
    """Return rows with the windows 1h and 24h, and nothing in the others."""
    begin = f"{_AS_OF} - toIntervalHour(24)"
    day = {name: _sum(name, dims) for name in COUNT_NAMES}
    hour = {name: _sum_since(name, dims, f"{_AS_OF} - toIntervalHour(1)") for name in COUNT_NAMES}
    made = {_named("24h", name): sql for name, sql in day.items()} | {
        _named("1h", name): sql for name, sql in hour.items()
    }
    return (
        f"SELECT {dims}, {_all_columns(made)} FROM {layout.readable('rollup_minute')} AS r "
        f"WHERE {_rows(begin, 'toDate', which)} GROUP BY {dims}"
    )


def _hours(layout: Layout, which: str, dims: str) -> str:
    """Return rows with the windows 7d and 30d, and with `recent` of those whose whole month it is."""
    month = {name: _sum(name, dims) for name in COUNT_NAMES}
    week = f"{_AS_OF} - toIntervalDay(7)"
    made = {_named("30d", name): sql for name, sql in month.items()}
    made |= {_named("7d", name): _sum_since(name, dims, week) for name in COUNT_NAMES}
    is_all = f"{_outcomes(month)} < {_RECENT}"
    made |= {_named("recent", name): f"if({is_all}, {sql}, 0)" for name, sql in month.items()}
    made["peak_reporting_count"] = f"greatest({', '.join(_reporting_by_day())})"
    return (
        f"SELECT {dims}, {_all_columns(made)} FROM {layout.readable('rollup_hour')} AS r "
        f"WHERE {_rows(_MONTH, 'toMonday', which)} GROUP BY {dims}"
    )


def _recent(layout: Layout, which: str, dims: str) -> str:
    """Return rows with `recent` of the others: the newest days that suffice.

    Days are told apart only here: doing so for everybody took four times as long as all the rest.
    """
    hours, rows = f"{layout.readable('rollup_hour')} AS r", _rows(_MONTH, "toMonday", which)
    month = {name: _sum(name, dims) for name in COUNT_NAMES}
    large = f"SELECT {dims} FROM {hours} WHERE {rows} GROUP BY {dims} HAVING {_outcomes(month)} >= {_RECENT}"
    by_day = ", ".join(f"{sql} AS day_{name}" for name, sql in month.items())
    days = (
        f"SELECT {dims}, toDate(bucket) AS day, {by_day} FROM {hours} "
        f"WHERE {rows} AND ({dims}) IN ({large}) GROUP BY {dims}, day"
    )
    # A day is needed as long as the newer ones have fewer outcomes than are asked for.
    newer = (
        f"sum({_outcomes({name: f'day_{name}' for name in COUNT_NAMES})}) OVER (PARTITION BY {dims} ORDER BY day DESC "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newer"
    )
    made = {_named("recent", name): f"sumIf(day_{name}, newer < {_RECENT})" for name in COUNT_NAMES}
    return f"SELECT {dims}, {_all_columns(made)} FROM (SELECT *, {newer} FROM ({days})) GROUP BY {dims}"


def _outcomes(counts: Mapping[str, str]) -> str:
    """Return how many outcomes there are."""
    names = ("delivered_count", "hard_bounce_count", "soft_bounce_count")
    return f"({' + '.join(counts[name] for name in names)})"


def _reporting_by_day() -> list[str]:
    """Return the deliveries to providers that report complaints, of today and each of the days before that count."""
    today = f"toDate({_AS_OF} - toIntervalSecond(1))"
    return [
        f"sumIf(r.reporting_delivered_count, cube = 'domain' AND toDate(bucket) = {today} - {back})"
        for back in range(COMPLAINT_LAG_DAYS + 1)
    ]


def _all_columns(made: Mapping[str, str]) -> str:
    """Return the list of `columns()`: those that are made here, and nothing in the others."""
    return ", ".join(f"{made.get(name, 'toInt64(0)')} AS {name}" for name in columns())


def _rows(begin: str, day_of: str, which: str) -> str:
    """Return the condition on rows: the days once more by themselves, since only that uses the sorting key."""
    return (
        f"cube IN ('domain', 'bounce') AND bucket >= {begin} AND bucket < {_AS_OF} "
        f"AND {day_of}(bucket) >= {day_of}({begin}) AND {day_of}(bucket) <= {day_of}({_AS_OF}) AND {which}"
    )


def _sum(name: str, dims: str) -> str:
    counted = _COUNTED_BY_POOL if "ip_pool" in dims else _COUNTED
    return counted.get(name, _events(f"r.{name}"))


def _sum_since(name: str, dims: str, since: str) -> str:
    return f"{_sum(name, dims)[:-1]} AND bucket >= {since})"


def _named(window: str, name: str) -> str:
    return f"w{window}_{name}"
