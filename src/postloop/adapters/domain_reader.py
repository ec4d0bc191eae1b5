"""What the views and rollups say of one sender domain, beside its reputation."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.adapters.migrations import layout_of
from postloop.domain.opens import OpenCounts
from postloop.domain.pool import Change, Measure, Side, decompose
from postloop.settings import Settings

DAYS: Final = 14
SERIES: Final = {"hour": (timedelta(hours=1), 48), "day": (timedelta(days=1), 30)}
"""Length and number of the points of each series."""
_SERIES_SUMS: Final = (
    "send_count",
    "delivered_count",
    "hard_bounce_count",
    "soft_bounce_count",
    "deferral_count",
    "complaint_count",
    "unsubscribe_count",
)
_ONE: Final = "account_id = {account:String} AND sender_domain = {domain:String}"
_MEASURES: Final[tuple[Measure, ...]] = ("complaint", "hard_bounce")
_SINCE: Final = "now() - toIntervalDay(7)"
_LATELY: Final = "now() - toIntervalDay(1)"
_HITS: Final[dict[Measure, tuple[str, str]]] = {
    "complaint": ("complaint_count", "reporting_delivered_count"),
    "hard_bounce": ("hard_bounce_count", "delivered_count + hard_bounce_count + soft_bounce_count"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Delivery times of 24 h to one mailbox provider; seconds."""

    mailbox_provider: str
    delivered_count: int
    p50_s: float
    p95_s: float
    delayed_rate: float | None


@dataclass(frozen=True, slots=True)
class Day:
    """What a UTC day counted."""

    day: date
    delivered_count: int
    hard_bounce_count: int
    complaint_count: int


@dataclass(frozen=True, slots=True)
class Point:
    """What an hour or a day (UTC) counted, by when events happened.

    Attributes:
        human_open_count: Messages that a person opened then, each once per recipient; estimated.
    """

    at: datetime
    send_count: int = 0
    delivered_count: int = 0
    hard_bounce_count: int = 0
    soft_bounce_count: int = 0
    deferral_count: int = 0
    complaint_count: int = 0
    unsubscribe_count: int = 0
    human_open_count: int = 0


@dataclass(frozen=True, slots=True)
class PoolChange:
    """How the last day on an IP pool differs from the six days before, and whose change that is."""

    ip_pool: str
    change: Change


class DomainReader:
    """Reads what there is about one pair of account and sender domain. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._hours = layout_of(settings).readable("rollup_hour")

    def opens(self, account_id: str, sender_domain: str) -> list[OpenCounts]:
        """Return opens of 30 days by class of mail."""
        query = (
            "SELECT mail_class, delivered_count, human_open_count, "
            "toUInt64(round(ifNull(raw_open_rate, 0) * delivered_count)), "
            "toUInt64(round(ifNull(blind_rate, 0) * delivered_count)) "
            f"FROM v_open_rate WHERE `window` = '30d' AND {_ONE} AND delivered_count > 0 ORDER BY mail_class"
        )
        return [
            OpenCounts(
                mail_class=row[0],
                delivered_count=row[1],
                human_count=row[2],
                raw_count=row[3],
                blind_count=row[4],
            )
            for row in self._rows(query, account_id, sender_domain)
        ]

    def open_rates(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """Return the open rate of 7 days over all classes of mail of (account, sender domain); less than `pairs`.

        Without a delivery there is none.
        """
        if not pairs:
            return {}
        query = (
            "SELECT account_id, sender_domain, least(1., sum(human_open_count) / sum(delivered_count)) "
            "FROM v_open_rate WHERE `window` = '7d' AND account_id IN {accounts:Array(String)} "
            "AND sender_domain IN {domains:Array(String)} "
            "GROUP BY account_id, sender_domain HAVING sum(delivered_count) > 0"
        )
        accounts, domains = ([*dict.fromkeys(part)] for part in zip(*pairs, strict=True))
        rows = rows_of(self._client, query, {"accounts": accounts, "domains": domains}, where=self._where)
        wanted = set(pairs)
        return {(row[0], row[1]): row[2] for row in rows if (row[0], row[1]) in wanted}

    def latencies(self, account_id: str, sender_domain: str) -> list[Latency]:
        """Return delivery times of 24 h by mailbox provider, the largest first."""
        query = (
            "SELECT mailbox_provider, delivered_count, p50_s, p95_s, delayed_rate FROM v_delivery_latency "
            f"WHERE `window` = '24h' AND {_ONE} ORDER BY delivered_count DESC, mailbox_provider"
        )
        names = Latency.__slots__
        rows = self._rows(query, account_id, sender_domain)
        return [Latency(**dict(zip(names, row, strict=True))) for row in rows]

    def days(self, account_id: str, sender_domain: str) -> list[Day]:
        """Return the days up to the last one with mail, in order; nothing when there was none lately."""
        sums = ", ".join(
            f"toUInt64(greatest(sum(r.{name}), 0))"
            for name in ("delivered_count", "hard_bounce_count", "complaint_count")
        )
        query = (
            f"SELECT toDate(bucket) AS day, {sums} FROM {self._hours} AS r WHERE cube = 'domain' AND {_ONE} "
            f"AND bucket >= today() - {DAYS - 1} AND toMonday(bucket) >= toMonday(today() - {DAYS - 1}) "
            "GROUP BY day ORDER BY day"
        )
        found = {row[0]: Day(*row) for row in self._rows(query, account_id, sender_domain)}
        last = max(found, default=date.min)
        wanted = [last - timedelta(days=back) for back in range(DAYS - 1, -1, -1)] if found else []
        return [found.get(day, Day(day, 0, 0, 0)) for day in wanted]

    def series(self, account_id: str, sender_domain: str, *, now: datetime) -> dict[str, list[Point]]:
        """Return the last hours and days up to now, each without a gap, the oldest first; see `SERIES`."""
        return {name: self._points(account_id, sender_domain, name, now) for name in SERIES}

    def _points(self, account_id: str, sender_domain: str, name: str, now: datetime) -> list[Point]:
        step, count = SERIES[name]
        last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if name == "day":
            last = last.replace(hour=0)
        places = [last - step * back for back in range(count - 1, -1, -1)]
        floor = "toStartOfHour(bucket)" if name == "hour" else "toStartOfDay(bucket)"
        sums = ", ".join(f"toUInt64(greatest(sum(r.{column}), 0))" for column in _SERIES_SUMS)
        query = (
            f"SELECT toUnixTimestamp({floor}) AS at, {sums}, uniqCombined64Merge(r.human_opens) "
            f"FROM {self._hours} AS r WHERE cube = 'domain' AND {_ONE} "
            "AND bucket >= toDateTime({begin:UInt32}, 'UTC') "
            "AND toMonday(bucket) >= toMonday(toDateTime({begin:UInt32}, 'UTC')) GROUP BY at"
        )
        rows = self._rows(query, account_id, sender_domain, begin=int(places[0].timestamp()))
        found = {row[0]: row[1:] for row in rows}
        return [Point(at, *found.get(int(at.timestamp()), ())) for at in places]

    def pools(self, account_id: str, sender_domain: str) -> list[PoolChange]:
        """Return how each pool changed. A dedicated one is not compared with anybody."""
        own = {
            row[:2]: row[2:]
            for row in self._rows(self._pool_query("domain", _ONE), account_id, sender_domain)
        }
        mine = f"ip_pool IN (SELECT ip_pool FROM {self._hours} WHERE cube = 'domain' AND {_ONE})"
        whole = {
            row[:2]: row[2:] for row in self._rows(self._pool_query("pool", mine), account_id, sender_domain)
        }
        return [
            PoolChange(
                place[0],
                _change(measure, place[1], counts[at : at + 4], whole.get(place, counts)[at : at + 4]),
            )
            for place, counts in sorted(own.items())
            for at, measure in zip(range(0, len(counts), 4), _MEASURES, strict=True)
        ]

    def _pool_query(self, cube: str, which: str) -> str:
        sums = ", ".join(
            f"toInt64(greatest(sumIf({count}, bucket {sign} {_LATELY}), 0))"
            for measure in _MEASURES
            for sign in ("<", ">=")
            for count in _HITS[measure]
        )
        return (
            f"SELECT toString(ip_pool), toString(ip_pool_kind), {sums} FROM {self._hours} WHERE cube = '{cube}' "
            f"AND ip_pool != '' AND bucket >= {_SINCE} AND toMonday(bucket) >= toMonday({_SINCE}) AND {which} "
            "GROUP BY ip_pool, ip_pool_kind"
        )

    def _rows(self, query: str, account_id: str, sender_domain: str, **more: Any) -> list[tuple[Any, ...]]:
        said = {"account": account_id, "domain": sender_domain, **more}
        return rows_of(self._client, query, said, where=self._where)


def _change(measure: Measure, kind: Any, own: Any, whole: Any) -> Change:
    """Return the change of one measure: (hits, cases) before, (hits, cases) lately, own and of the whole pool."""
    rest = [max(all_ - mine, 0) for all_, mine in zip(whole, own, strict=True)]
    return decompose(
        measure=measure,
        kind=kind,
        own_before=Side(*own[:2]),
        own_after=Side(*own[2:]),
        rest_before=Side(*rest[:2]),
        rest_after=Side(*rest[2:]),
    )
