"""The queries that make the evidence of `domain.reputation` of the rollups: of many sender domains at once, and of one.

The last hour and day are counted by minutes, what is longer by hours. The hour that runs counts as far as it is known:
without it a domain that begins to send would be unknown until the hour is over.

For many there are three small queries and not one: the engine took half a second of processor to analyse their union,
whatever it read. For one there is `parts_query`, which leaves the adding up to Python: half the time of the three, a
quarter where all three are needed, but some thirty rows a subject.
Parameters of all: `as_of` (seconds since 1970, a whole minute). A condition `which` on rollup rows selects subjects,
`dimensions` make one; bounces by reason are counted without their pool, so by `ip_pool` all refusals are of one kind.
"""

# ruff: noqa: S608 - names and numbers in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, get_args

from postloop.adapters.migration_render import Layout
from postloop.domain.bounce import Reason
from postloop.domain.providers import REPORTS_COMPLAINTS
from postloop.domain.reputation import RefusalKind, refusal_kind
from postloop.domain.reputation.counts import COUNT_NAMES
from postloop.domain.reputation.windows import COMPLAINT_LAG_DAYS

PAIR: Final = ("account_id", "sender_domain")
# A page is a stretch of the sorting key of the rollups, written so that the server uses the key: else every page would
# read all rows again.
AFTER: Final = (
    "(account_id > {after_account:String} "
    "OR account_id = {after_account:String} AND sender_domain > {after_domain:String})"
)
UP_TO: Final = (
    "(account_id < {last_account:String} "
    "OR account_id = {last_account:String} AND sender_domain <= {last_domain:String})"
)
# The domain once more by itself: that is looked up once a value of the column, a pair once a row.
NEWS: Final = (
    "sender_domain IN (SELECT sender_domain FROM {stored}) "
    "AND (account_id, sender_domain) IN (SELECT account_id, sender_domain FROM {stored})"
)
SOME: Final = (
    "sender_domain IN {domains:Array(String)} AND (account_id, sender_domain) IN (SELECT pair.1, pair.2 FROM "
    "(SELECT arrayJoin(arrayZip({accounts:Array(String)}, {domains:Array(String)})) AS pair))"
)
_AS_OF: Final = "{as_of:DateTime('UTC')}"
MONTH: Final = f"{_AS_OF} - toIntervalDay(30)"
"""Where the longest window begins."""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


class _Count(NamedTuple):
    """How a count is made of rollup rows: the sum of a value over the rows of one cube, or over some of them."""

    value: str
    cube: str = "domain"
    which: str = ""

    @property
    def of_its_cube(self) -> str:
        """The sum over rows of any cube."""
        also = f" AND {self.which}" if self.which else ""
        return f"sumIf({self.value}, cube = '{self.cube}'{also})"

    @property
    def plain(self) -> str:
        """The sum over rows of its own cube alone."""
        return f"sumIf({self.value}, {self.which})" if self.which else f"sum({self.value})"


def _refusals(kind: RefusalKind) -> _Count:
    reasons = [reason for reason in get_args(Reason) if refusal_kind(reason) == kind]
    return _Count("r.refusal_count", "bounce", f"r.reason IN ({_listed(reasons)})")


_REPORTING: Final = _listed(list(REPORTS_COMPLAINTS))
_MADE: Final = {name: _Count(f"r.{name}") for name in COUNT_NAMES} | {
    "send_count": _Count("r.send_count - r.rejected_count - r.suppressed_count"),
    "content_refusal_count": _refusals("content"),
    "authentication_refusal_count": _refusals("authentication"),
    "standing_refusal_count": _refusals("standing"),
    "complaint_count": _Count("r.complaint_count", which=f"r.mailbox_provider IN ({_REPORTING})"),
}
_MADE_BY_POOL: Final = _MADE | {
    "content_refusal_count": _Count("0"),
    "authentication_refusal_count": _Count("0"),
    "standing_refusal_count": _Count("r.refusal_count"),
}


def minute_query(layout: Layout, *, which: str, dimensions: Sequence[str] = PAIR) -> str:
    """Return the query for one row a subject: its dimensions, then each of `COUNT_NAMES` of 1h, then of 24h."""
    begin, counts = f"{_AS_OF} - toIntervalHour(24)", _sums(dimensions)
    hour = [_since(sql, f"{_AS_OF} - toIntervalHour(1)") for sql in counts.values()]
    return _query(
        [*hour, *counts.values()],
        f"{layout.readable('rollup_minute')} AS r WHERE {_rows(begin, 'toDate', which)}",
        dimensions,
    )


def hour_query(layout: Layout, *, which: str, dimensions: Sequence[str] = PAIR) -> str:
    """Return the query for one row a subject: its dimensions, `COUNT_NAMES` of 7d, of 30d, and the peak.

    The peak are the deliveries to providers that report complaints, of today and each of the days before that count,
    on the largest of these days.
    """
    counts, today = _sums(dimensions), f"toDate({_AS_OF} - toIntervalSecond(1))"
    week = [_since(sql, f"{_AS_OF} - toIntervalDay(7)") for sql in counts.values()]
    by_day = (
        f"sumIf(r.reporting_delivered_count, cube = 'domain' AND toDate(bucket) = {today} - {back})"
        for back in range(COMPLAINT_LAG_DAYS + 1)
    )
    return _query(
        [*week, *counts.values(), f"greatest({', '.join(by_day)})"],
        f"{layout.readable('rollup_hour')} AS r WHERE {_rows(MONTH, 'toMonday', which)}",
        dimensions,
    )


def recent_query(layout: Layout, *, which: str, dimensions: Sequence[str] = PAIR) -> str:
    """Return the query for one row a subject with as many outcomes in 30 days as are asked for, or more.

    Its dimensions, then each of `COUNT_NAMES` of the newest whole days that have so many. Days are told apart only
    here: for everybody that took four times as long as all the rest. Of the others all 30 days are recent.

    Parameter: `recent` (outcomes that are representative) as well.
    """
    dims, counts = ", ".join(dimensions), _sums(dimensions)
    source = f"{layout.readable('rollup_hour')} AS r WHERE {_rows(MONTH, 'toMonday', which)}"
    large = f"SELECT {dims} FROM {source} GROUP BY {dims} HAVING {_outcomes(counts)} >= {{recent:UInt32}}"
    by_day = {name: f"day_{name}" for name in COUNT_NAMES}
    listed = ", ".join(f"{counts[name]} AS {day}" for name, day in by_day.items())
    days = (
        f"SELECT {dims}, toDate(bucket) AS day, {listed} FROM {source} AND ({dims}) IN ({large}) "
        f"GROUP BY {dims}, day"
    )
    # A day is needed as long as the newer ones have fewer outcomes than are asked for.
    newer = (
        f"sum({_outcomes(by_day)}) OVER (PARTITION BY {dims} ORDER BY day DESC "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newer"
    )
    recent = [f"sumIf({day}, newer < {{recent:UInt32}})" for day in by_day.values()]
    return _query(recent, f"(SELECT *, {newer} FROM ({days}))", dimensions)


def parts_query(layout: Layout, *, which: str, dimensions: Sequence[str] = PAIR) -> str:
    """Return the query for the parts of the evidence of few subjects: `adapters.evidence_parts` adds them up.

    Rows of the dimensions, the cube, the name of the part (the shortest window that it belongs to), its day where it is
    of the hours, then each of `COUNT_NAMES`, below 0 where rollups are being repaired. Of the cube 'bounce' refusals
    alone mean something. Both cubes stay apart because a server takes longer to read and plan a condition in each sum
    than to count twice as many rows: 67 -> 44 ms for one sender.
    """
    dims = ", ".join(dimensions)
    sums = ", ".join(count.plain for count in _made(dimensions).values())
    day, counts = f"{_AS_OF} - toIntervalHour(24)", "(cube = 'domain' OR r.refusal_count != 0)"
    hour, week = f"{_AS_OF} - toIntervalHour(1)", f"{_AS_OF} - toIntervalDay(7)"
    return (
        f"SELECT {dims}, cube, if(bucket >= {hour}, '1h', '24h') AS part, toDate(0) AS day, {sums} "
        f"FROM {layout.readable('rollup_minute')} AS r WHERE {_rows(day, 'toDate', which)} AND {counts} "
        f"GROUP BY {dims}, `cube`, part UNION ALL "
        f"SELECT {dims}, cube, if(bucket >= {week}, '7d', '30d') AS part, toDate(bucket) AS day, {sums} "
        f"FROM {layout.readable('rollup_hour')} AS r WHERE {_rows(MONTH, 'toMonday', which)} AND {counts} "
        f"GROUP BY {dims}, `cube`, part, day"
    )


def pages_query(subjects: str) -> str:
    """Return the query for (account, sender domain, number from 1) of the last subject of each page, in order.

    Args:
        subjects: Where the subjects stand: a table and a condition.

    Parameter: `size` (subjects of a page), and those of the condition.
    """
    return (
        "SELECT account_id, sender_domain, n FROM (SELECT toString(account_id) AS account_id, "
        "toString(sender_domain) AS sender_domain, row_number() OVER (ORDER BY account_id, sender_domain) AS n, "
        f"count() OVER () AS total FROM (SELECT DISTINCT account_id, sender_domain FROM {subjects})) "
        "WHERE n % {size:UInt64} = 0 OR n = total ORDER BY n"
    )


def daily_query(layout: Layout, *, which: str = "1") -> str:
    """Return the query for (account, sender domain, day, then each of `COUNT_NAMES`) of whole UTC days, in that order.

    Args:
        which: A condition on rollup rows that selects senders.

    Parameters of the query: `from` and `to`, dates; the last one is excluded.
    """
    sums = ", ".join(_counted(sql) for sql in _sums(PAIR).values())
    return (
        f"SELECT account_id, sender_domain, toDate(bucket) AS day, {sums} "
        f"FROM {layout.readable('rollup_hour')} AS r WHERE cube IN ('domain', 'bounce') "
        "AND bucket >= {from:Date} AND bucket < {to:Date} "
        "AND toMonday(bucket) >= toMonday({from:Date}) AND toMonday(bucket) <= toMonday({to:Date}) "
        f"AND {which} GROUP BY account_id, sender_domain, day ORDER BY account_id, sender_domain, day"
    )


def _query(counts: Sequence[str], source: str, dimensions: Sequence[str]) -> str:
    dims = ", ".join(dimensions)
    return f"SELECT {dims}, {', '.join(map(_counted, counts))} FROM {source} GROUP BY {dims} ORDER BY {dims}"


def _counted(sql: str) -> str:
    """Return a sum of signed differences as a count: while rollups are repaired it can be below 0."""
    return f"toInt64(greatest({sql}, 0))"


def _outcomes(counts: Mapping[str, str]) -> str:
    names = ("delivered_count", "hard_bounce_count", "soft_bounce_count")
    return f"({' + '.join(counts[name] for name in names)})"


def _rows(begin: str, day_of: str, which: str) -> str:
    """Return the condition on rows: the days once more by themselves, since only that uses the sorting key."""
    return (
        f"cube IN ('domain', 'bounce') AND bucket >= {begin} AND bucket < {_AS_OF} "
        f"AND {day_of}(bucket) >= {day_of}({begin}) AND {day_of}(bucket) <= {day_of}({_AS_OF}) AND {which}"
    )


def _sums(dimensions: Sequence[str]) -> dict[str, str]:
    """Return how each count is made of rollup rows."""
    return {name: count.of_its_cube for name, count in _made(dimensions).items()}


def _made(dimensions: Sequence[str]) -> Mapping[str, _Count]:
    return _MADE_BY_POOL if "ip_pool" in dimensions else _MADE


def _since(sql: str, begin: str) -> str:
    return f"{sql[:-1]} AND bucket >= {begin})"
