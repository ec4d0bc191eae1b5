"""What ClickHouse knows of sender domains: the evidence of their reputation, and what was said of them."""

# ruff: noqa: S608 - names and numbers in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime, time
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

import structlog
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of, translated
from postloop.adapters.migration_render import Layout
from postloop.adapters.migrations import layout_of
from postloop.adapters.reputation_sql import PAIR, WINDOWS, daily_query, evidence_query
from postloop.contracts.fields import milliseconds
from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    DEFAULT_REPUTATION_POLICY,
    DailyCounts,
    Evidence,
    WindowCounts,
    WindowName,
)
from postloop.domain.reputation.counts import COUNT_NAMES
from postloop.settings import Settings

log = structlog.stdlib.get_logger("postloop.reputation")

# Evidence takes about 4 KB a subject in Python: 20 MB a page.
PAGE_SUBJECTS: Final = 5_000
_MINUTE_S: Final = 60
# A page is a stretch of the sorting key of the rollups, written so that the server uses the key: else every page would
# read all rows again.
_AFTER: Final = (
    "(account_id > {after_account:String} "
    "OR account_id = {after_account:String} AND sender_domain > {after_domain:String})"
)
_UP_TO: Final = (
    "(account_id < {last_account:String} "
    "OR account_id = {last_account:String} AND sender_domain <= {last_domain:String})"
)
_NEWS: Final = (
    "(account_id, sender_domain) IN (SELECT account_id, sender_domain FROM {events} "
    "WHERE stored_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC'))"
)
_ONE: Final = "account_id = {account:String} AND sender_domain = {domain:String}"
_DOMAIN: Final = "sender_domain = {domain:String}"
_SOME: Final = (
    "(account_id, sender_domain) IN (SELECT pair.1, pair.2 FROM "
    "(SELECT arrayJoin(arrayZip({accounts:Array(String)}, {domains:Array(String)})) AS pair))"
)
# Names travel in the address of the request.
_SUBJECTS_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Whose reputation it is; `mailbox_provider` empty: with everybody."""

    account_id: str
    sender_domain: str
    mailbox_provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRow:
    """What is known of a subject, as table `reputation_current` holds it: the newest row counts.

    Attributes:
        score: None while unknown.
        state: The state of the rules, as JSON.
    """

    account_id: str
    sender_domain: str
    mailbox_provider: str
    owner_hash: int
    at: datetime
    score: float | None
    grade: str
    recommendation: str
    outcome_count: int
    complaint_rate: float | None
    complaint_low: float
    complaint_high: float
    hard_bounce_rate: float | None
    hard_bounce_low: float
    hard_bounce_high: float
    refusal_rate: float | None
    refusal_low: float
    refusal_high: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One change, as table `reputation_log` holds it. Grades are empty where there was none before."""

    event_id: str
    account_id: str
    sender_domain: str
    mailbox_provider: str
    at: datetime
    before_score: float | None
    before_grade: str
    after_score: float | None
    after_grade: str
    recommendation: str
    factors: str


class ReputationReader:
    """Reads evidence and what was said. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        representative_count: int = DEFAULT_REPUTATION_POLICY.representative_count,
        page_subjects: int = PAGE_SUBJECTS,
    ) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._layout: Layout = layout_of(settings)
        self._representative_count = representative_count
        self._page_subjects = page_subjects
        self._news = _NEWS.format(events=self._layout.readable("events"))

    def all_evidence(self, as_of: datetime) -> Iterator[list[tuple[Subject, Evidence]]]:
        """Yield pages with the evidence of every pair of account and sender domain of the last 30 days."""
        month = "toDateTime({as_of:UInt32}, 'UTC') - toIntervalDay(30)"
        subjects = (
            f"{self._layout.readable('rollup_hour')} WHERE cube = 'domain' AND bucket >= {month} "
            f"AND toMonday(bucket) >= toMonday({month})"
        )
        yield from self._pages(subjects, "1", as_of, {})

    def news(self, as_of: datetime, *, since: datetime) -> Iterator[list[tuple[Subject, Evidence]]]:
        """Yield pages with the evidence of those of whom events were stored since a moment."""
        stored = "stored_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
        subjects = f"{self._layout.readable('events')} WHERE {stored}"
        yield from self._pages(subjects, self._news, as_of, {"since": milliseconds(since)})

    def evidence_of(
        self, account_id: str | None, sender_domain: str, *, as_of: datetime, by_provider: bool = False
    ) -> list[tuple[Subject, Evidence]]:
        """Return the evidence of one sender domain, of each account that uses it or of one."""
        which = _DOMAIN if account_id is None else _ONE
        said = {"domain": sender_domain} | ({} if account_id is None else {"account": account_id})
        dimensions = (*PAIR, "mailbox_provider") if by_provider else PAIR
        return self._evidence(which, as_of, said, dimensions)

    def by_provider(self, subjects: Sequence[Subject], *, as_of: datetime) -> list[tuple[Subject, Evidence]]:
        """Return the evidence of some pairs of account and sender domain with each mailbox provider."""
        found = []
        for first in range(0, len(subjects), _SUBJECTS_AT_ONCE):
            some = subjects[first : first + _SUBJECTS_AT_ONCE]
            said = {
                "accounts": [subject.account_id for subject in some],
                "domains": [subject.sender_domain for subject in some],
            }
            found += self._evidence(_SOME, as_of, said, (*PAIR, "mailbox_provider"))
        return found

    def by_pool(
        self, account_id: str, sender_domain: str, *, as_of: datetime
    ) -> list[tuple[str, str, Evidence]]:
        """Return (pool, its kind, evidence) of one pair; mail without a pool is in none."""
        query = evidence_query(
            self._layout, which=f"{_ONE} AND ip_pool != ''", dimensions=("ip_pool", "ip_pool_kind")
        )
        said = {"account": account_id, "domain": sender_domain, "as_of": _minute(as_of)}
        rows = self._rows(query, {**said, "recent": self._representative_count})
        return [(str(row[0]), str(row[1]), _evidence(row[2:])) for row in rows]

    def of_everybody(self, sender_domain: str, *, as_of: datetime) -> Evidence:
        """Return the evidence of a sender domain over all accounts that use it."""
        query = evidence_query(self._layout, which=_DOMAIN, dimensions=("sender_domain",))
        said = {"domain": sender_domain, "as_of": _minute(as_of), "recent": self._representative_count}
        rows = self._rows(query, said)
        return _evidence(rows[0][1:]) if rows else Evidence({})

    def _pages(
        self, subjects: str, which: str, as_of: datetime, said: dict[str, Any]
    ) -> Iterator[list[tuple[Subject, Evidence]]]:
        """Yield the evidence page by page.

        Args:
            subjects: Where the subjects stand: a table and a condition.
            which: A condition on rollup rows that selects them.
        """
        after, known = ("", ""), {**said, "as_of": _minute(as_of)}
        for last in self._last_of_pages(subjects, known):
            ends = {
                "after_account": after[0],
                "after_domain": after[1],
                "last_account": last[0],
                "last_domain": last[1],
            }
            yield self._evidence(f"{which} AND {_AFTER} AND {_UP_TO}", as_of, said | ends, PAIR)
            after = last

    def _last_of_pages(self, subjects: str, said: dict[str, Any]) -> list[tuple[str, str]]:
        """Return the last subject of each page."""
        query = (
            "SELECT account_id, sender_domain FROM (SELECT toString(account_id) AS account_id, "
            "toString(sender_domain) AS sender_domain, row_number() OVER (ORDER BY account_id, sender_domain) AS n, "
            f"count() OVER () AS total FROM (SELECT DISTINCT account_id, sender_domain FROM {subjects})) "
            "WHERE n % {size:UInt64} = 0 OR n = total ORDER BY n"
        )
        rows = self._rows(query, said | {"size": self._page_subjects})
        return [(account_id, sender_domain) for account_id, sender_domain in rows]

    def _evidence(
        self, which: str, as_of: datetime, said: dict[str, Any], dimensions: Sequence[str]
    ) -> list[tuple[Subject, Evidence]]:
        query = evidence_query(self._layout, which=which, dimensions=dimensions)
        known = {**said, "as_of": _minute(as_of), "recent": self._representative_count}
        found = []
        for row in self._rows(query, known):
            subject = Subject(*row[: len(dimensions)])
            try:
                found.append((subject, _evidence(row[len(dimensions) :])))
            except DataError as error:  # rollups that are being repaired: the next look sees them whole
                log.warning("evidence_unreadable", sender_domain=subject.sender_domain, reason=str(error))
        return found

    def daily(
        self, from_day: date, to_day: date, *, subject: Subject | None = None
    ) -> Iterator[tuple[Subject, list[DailyCounts]]]:
        """Yield the counts by UTC day of each pair of account and sender domain, or of one; `to_day` is excluded.

        Rows come in blocks: memory holds some thousand days, however many there are.
        """
        query = daily_query(self._layout, which="1" if subject is None else _ONE)
        said: dict[str, Any] = {"from": from_day, "to": to_day}
        if subject is not None:
            said |= {"account": subject.account_id, "domain": subject.sender_domain}
        with translated(self._where), self._client.query_rows_stream(query, parameters=said) as rows:
            for (account_id, sender_domain), days in groupby(rows, lambda row: row[:2]):
                yield Subject(account_id, sender_domain), [_day(row[2], row[3:]) for row in days]

    def current(
        self, sender_domain: str | None = None, *, account_id: str | None = None, limit: int = 1_000_000
    ) -> list[CurrentRow]:
        """Return what is said of senders now, the worst first."""
        said: dict[str, Any] = {"limit": limit}
        conditions = ["mailbox_provider = ''"]
        if sender_domain is not None:
            conditions.append("sender_domain = {domain:String}")
            said["domain"] = sender_domain
        if account_id is not None:
            conditions.append("account_id = {account:String}")
            said["account"] = account_id
        query = (
            f"SELECT {', '.join(_CURRENT_NAMES)} FROM {self._layout.readable('reputation_current')} FINAL "
            f"WHERE {' AND '.join(conditions)} "
            "ORDER BY score IS NULL, score, outcome_count DESC, account_id, sender_domain LIMIT {limit:UInt64}"
        )
        return [CurrentRow(**dict(zip(_CURRENT_NAMES, row, strict=True))) for row in self._rows(query, said)]

    def restore(self, partition: int, partitions: int) -> list[tuple[Subject, str]]:
        """Return (subject, state) of every sender that a partition owns."""
        query = (
            "SELECT account_id, sender_domain, mailbox_provider, state "
            f"FROM {self._layout.readable('reputation_current')} FINAL "
            "WHERE owner_hash % {partitions:UInt64} = {partition:UInt64}"
        )
        rows = self._rows(query, {"partition": partition, "partitions": partitions})
        return [(Subject(*row[:3]), row[3]) for row in rows]

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where)


class ReputationWriter:
    """Writes what was said; a repeat changes nothing. Every method blocks until the rows are stored.

    Raises:
        UnavailableError: Not stored, or not known whether it was: write again.
        RefusedError: ClickHouse does not take the rows.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._layout = layout_of(settings)

    def write(self, changes: Sequence[LogRow], rows: Sequence[CurrentRow]) -> None:
        """Store changes, and then what is known now."""
        self._insert("reputation_log", _LOG_NAMES, changes)
        self._insert("reputation_current", _CURRENT_NAMES, rows)

    def _insert(self, table: str, names: Sequence[str], rows: Sequence[Any]) -> None:
        if not rows:
            return
        with translated(self._where):
            self._client.insert(
                self._layout.readable(table),
                [astuple(row) for row in rows],
                column_names=list(names),
                settings={"async_insert": 0},
            )


_CURRENT_NAMES: Final = tuple(field.name for field in fields(CurrentRow))
_LOG_NAMES: Final = tuple(field.name for field in fields(LogRow))
_WIDTH: Final = len(COUNT_NAMES)
_NOTHING: Final = (0,) * _WIDTH
_NO_COUNTS: Final = WindowCounts()


def _evidence(row: Sequence[int]) -> Evidence:
    """Return the evidence of a row. Windows that count the same are one object: those of most senders are."""
    made: dict[tuple[int, ...], WindowCounts] = {_NOTHING: _NO_COUNTS}
    windows: dict[WindowName, WindowCounts] = {}
    for place, window in enumerate(WINDOWS):
        counts = tuple(row[place * _WIDTH : (place + 1) * _WIDTH])
        if counts not in made:
            made[counts] = WindowCounts(**dict(zip(COUNT_NAMES, counts, strict=True)))
        windows[window] = made[counts]
    return Evidence(MappingProxyType(windows), peak_reporting_count=row[-1])


def _day(day: date, counts: Sequence[int]) -> DailyCounts:
    begin = datetime.combine(day, time(), tzinfo=UTC)
    return DailyCounts(milliseconds(begin), WindowCounts(**dict(zip(COUNT_NAMES, counts, strict=True))))


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // _MINUTE_S * _MINUTE_S
