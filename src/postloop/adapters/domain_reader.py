"""What the views and rollups say of one sender domain, beside its reputation."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.adapters.migration_render import Layout, view_select
from postloop.adapters.migrations import layout_of, parts
from postloop.adapters.view_windows import NOW, window_of
from postloop.domain.delivery_time import percentile_s
from postloop.domain.opens import DEFAULT_HISTORY_POLICY, OpenCounts, OpenDay
from postloop.domain.pool import Change, Measure, Side, decompose
from postloop.settings import Settings

OPEN_DAYS: Final = 56
OPEN_SAMPLE: Final = 200_000
"""Messages of a history of opens, from how many on a share of them is taken."""
_OPENS: Final = timedelta(days=30)
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
_DELIVERED: Final = _SERIES_SUMS.index("delivered_count")
# What is read is little, and several questions are asked at once: more threads for each cost more than they gain.
_SMALL: Final = {"max_threads": 1}
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
    delayed_rate: float


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


@dataclass(frozen=True, slots=True)
class Past:
    """Opens of 30 days by class of mail, and the last hours and days, without a gap, the oldest first: `SERIES`."""

    opens: list[OpenCounts]
    series: dict[str, list[Point]]


class DomainReader:
    """Reads what there is about one pair of account and sender domain. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        layout = layout_of(settings)
        self._hours, self._events = layout.readable("rollup_hour"), layout.readable("events")
        self._opens = view_select("v_open_rate", "7d", parts=parts(), layout=layout)
        self._past = _past_query(self._hours)
        self._latency = _latency_query(layout)

    def open_rates(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """Return the open rate of 7 days over all classes of mail of (account, sender domain); less than `pairs`.

        Without a delivery there is none.
        """
        if not pairs:
            return {}
        query = (
            "SELECT account_id, sender_domain, least(1., sum(human_open_count) / sum(delivered_count)) "
            f"FROM ({self._opens}) WHERE account_id IN {{accounts:Array(String)}} "
            "AND sender_domain IN {domains:Array(String)} "
            "GROUP BY account_id, sender_domain HAVING sum(delivered_count) > 0"
        )
        accounts, domains = ([*dict.fromkeys(part)] for part in zip(*pairs, strict=True))
        said = {"accounts": accounts, "domains": domains}
        rows = rows_of(self._client, query, said, where=self._where, **_SMALL)
        wanted = set(pairs)
        return {(row[0], row[1]): row[2] for row in rows if (row[0], row[1]) in wanted}

    def latencies(self, account_id: str, sender_domain: str) -> list[Latency]:
        """Return delivery times of 24 h by mailbox provider, the largest first."""
        bins: dict[str, dict[int, int]] = defaultdict(dict)
        delayed: Counter[str] = Counter()
        for provider, place, delivered, late in self._rows(self._latency, account_id, sender_domain):
            bins[provider][place] = delivered
            delayed[provider] += late
        found = [
            Latency(
                mailbox_provider=provider,
                delivered_count=(delivered_count := sum(counts.values())),
                p50_s=percentile_s(counts, 50),
                p95_s=percentile_s(counts, 95),
                delayed_rate=min(1.0, max(0, delayed[provider]) / delivered_count),
            )
            for provider, counts in bins.items()
        ]
        return sorted(found, key=lambda one: (-one.delivered_count, one.mailbox_provider))

    def past(self, account_id: str, sender_domain: str, *, now: datetime) -> Past:
        """Return opens of the last 30 whole days by hours, and the series up to now; both in one query.

        Opens are what `v_open_rate_at` says of this moment.
        """
        places = {name: _places(name, now) for name in SERIES}
        end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        begin = {name: int(found[0].timestamp()) for name, found in places.items()}
        said = {**begin, "opens_begin": int((end - _OPENS).timestamp()), "opens_end": int(end.timestamp())}
        series, opens = {}, []
        for kind, at, mail_class, *counts in self._rows(self._past, account_id, sender_domain, **said):
            point, more = counts[: len(_SERIES_SUMS) + 1], counts[len(_SERIES_SUMS) + 1 :]
            if kind == "class":
                opens.append(_open_counts(mail_class, point[_DELIVERED], point[-1], *more))
            else:
                series[kind, at] = point
        return Past(
            opens=sorted((one for one in opens if one.delivered_count), key=lambda one: one.mail_class),
            series={
                name: [Point(at, *series.get((name, int(at.timestamp())), ())) for at in places[name]]
                for name in SERIES
            },
        )

    def open_days(self, account_id: str, sender_domain: str) -> list[OpenDay]:
        """Return by the day of sending (UTC) what became of notifications, the days whose opens have come in.

        Read from raw events, since a rollup does not know when the mail of an open was sent. Of a sender with much mail
        a share of the messages stands for all: rates stay what they are.
        """
        first = f"today() - {OPEN_DAYS + DEFAULT_HISTORY_POLICY.mature_days}"
        count = (
            f"SELECT toUInt64(greatest(sum(r.delivered_count), 0)) FROM {self._hours} AS r "
            f"WHERE cube = 'domain' AND {_ONE} AND mail_class = 'notification' "
            f"AND bucket >= {first} AND toMonday(bucket) >= toMonday({first})"
        )
        ((delivered,),) = self._rows(count, account_id, sender_domain)
        if not delivered:
            return []
        shares = -(-delivered // OPEN_SAMPLE)
        messages = (
            "SELECT toDate(min(ifNull(sent_at, occurred_at))) AS day, countIf(outcome = 'delivered') > 0 AS delivered, "
            "countIf(open_kind = 'human') > 0 AS human, countIf(mailbox_provider = 'apple') > 0 AS apple "
            f"FROM {self._events} WHERE {_ONE} AND event_type IN ('delivery', 'open') AND mail_class = 'notification' "
            f"AND occurred_at >= {first} AND cityHash64(message_id, recipient) % {shares} = 0 "
            "GROUP BY message_id, recipient"
        )
        query = (
            f"SELECT day, countIf(human OR NOT apple) AS visible, countIf(human) FROM ({messages}) "
            f"WHERE delivered AND day >= {first} AND day < today() - {DEFAULT_HISTORY_POLICY.mature_days} "
            "GROUP BY day ORDER BY day"
        )
        said = {"account": account_id, "domain": sender_domain}
        rows = rows_of(
            self._client, query, said, where=self._where
        )  # not little: with as many threads as there are
        return [OpenDay(day=row[0], visible_count=row[1], human_count=row[2]) for row in rows]

    def pools(self, account_id: str, sender_domain: str) -> list[PoolChange]:
        """Return how each pool changed. A dedicated one is not compared with anybody."""
        own = {
            row[:2]: row[2:]
            for row in self._rows(self._pool_query("domain", _ONE), account_id, sender_domain)
        }
        if not own:
            return []
        used = self._pool_query("pool", "ip_pool IN {pools:Array(String)}")
        pools = sorted({pool for pool, _ in own})
        whole = {row[:2]: row[2:] for row in self._rows(used, account_id, sender_domain, pools=pools)}
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
        return rows_of(self._client, query, said, where=self._where, **_SMALL)


def _latency_query(layout: Layout) -> str:
    """Return the query for (mailbox provider, bin, deliveries, those of them that were delayed) of 24 h.

    `v_delivery_latency` makes percentiles of the same bins; a server takes 50 ms to prepare it.
    """
    window = window_of("24h")
    return (
        "SELECT toString(mailbox_provider), latency_bin, toUInt64(greatest(sum(r.delivered_count), 0)) AS n, "
        f"sum(r.delayed_count) FROM {layout.readable(window.rollup)} AS r WHERE cube = 'latency' AND {_ONE} "
        f"AND {window.condition(NOW)} GROUP BY mailbox_provider, latency_bin HAVING n > 0"
    )


def _past_query(hours: str) -> str:
    """Return the query for rows of a kind (hour, day, class), their moment or class, and the counts of all kinds.

    A row counts for each kind whose stretch of time holds it. Sketches cost most, so each is merged for the kinds that
    tell it only; with grouping sets a large sender took 1.6 times as long.
    """
    hour, day, opens_begin, opens_end = (
        f"toDateTime({{{name}:UInt32}}, 'UTC')" for name in ("hour", "day", "opens_begin", "opens_end")
    )
    begin = f"least({day}, {opens_begin})"
    held_by = {
        "hour": f"bucket >= {hour}",
        "day": f"bucket >= {day}",
        "class": f"bucket >= {opens_begin} AND bucket < {opens_end}",
    }
    kinds = ", ".join(f"if({held}, ['{kind}'], [])" for kind, held in held_by.items())
    apple = "kind = 'class' AND mailbox_provider = 'apple'"
    columns = [
        "kind",
        "multiIf(kind = 'hour', toUnixTimestamp(bucket), kind = 'day', toUnixTimestamp(toStartOfDay(bucket)), 0) AS at",
        "if(kind = 'class', toString(mail_class), '') AS class",
        *(f"toUInt64(greatest(sum(r.{column}), 0))" for column in _SERIES_SUMS),
        "uniqCombined64Merge(r.human_opens)",
        "uniqCombined64MergeIf(r.opens, kind = 'class')",
        f"toUInt64(greatest(sumIf(r.delivered_count, {apple}), 0))",
        f"uniqCombined64MergeIf(r.human_opens, {apple})",
    ]
    return (
        f"SELECT {', '.join(columns)} FROM {hours} AS r ARRAY JOIN arrayConcat({kinds}) AS kind "
        f"WHERE cube = 'domain' AND {_ONE} AND bucket >= {begin} AND toMonday(bucket) >= toMonday({begin}) "
        "GROUP BY kind, at, class"
    )


def _open_counts(
    mail_class: Any, delivered: int, human: int, opened: int, apple_delivered: int, apple_human: int
) -> OpenCounts:
    return OpenCounts(
        mail_class=mail_class,
        delivered_count=delivered,
        human_count=human,
        raw_count=min(opened, delivered),
        blind_count=min(max(apple_delivered - apple_human, 0), delivered),
    )


def _places(name: str, now: datetime) -> list[datetime]:
    """Return when the points of a series begin, the oldest first."""
    step, count = SERIES[name]
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if name == "day":
        last = last.replace(hour=0)
    return [last - step * back for back in range(count - 1, -1, -1)]


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
