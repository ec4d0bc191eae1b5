"""What ClickHouse knows of sender domains: the evidence of their reputation, and what was said of them."""

# ruff: noqa: S608 - names and numbers in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from itertools import groupby
from typing import Any, Final

import structlog
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of, translated
from postloop.adapters.evidence_parts import evidence_by_subject
from postloop.adapters.migration_render import Layout
from postloop.adapters.migrations import layout_of
from postloop.adapters.reputation_counts import Counted, evidence_of_counted, outcomes_of
from postloop.adapters.reputation_rows import (
    UNKNOWN_SCORE,
    CurrentRow,
    ListPlace,
    LogRow,
    Subject,
    batches,
    row_names,
)
from postloop.adapters.reputation_sql import (
    AFTER,
    MONTH,
    NEWS,
    PAIR,
    SOME,
    UP_TO,
    daily_query,
    hour_query,
    minute_query,
    pages_query,
    parts_query,
    recent_query,
)
from postloop.contracts.fields import milliseconds
from postloop.domain.errors import DataError
from postloop.domain.reputation import DEFAULT_REPUTATION_POLICY, DailyCounts, Evidence, WindowCounts
from postloop.domain.reputation.counts import COUNT_NAMES
from postloop.settings import Settings

__all__ = ["CurrentRow", "Found", "ListPlace", "LogRow", "ReputationReader", "Subject"]

log = structlog.stdlib.get_logger("postloop.reputation")

# Evidence takes about 4 KB a subject in Python: 40 MB a page.
PAGE_SUBJECTS: Final = 10_000
# Of so many pairs of account and sender domain the days are fetched and added up here: three passes over their hours,
# which is what the database needs to do it, took 2 to 2.7 times as long for 50 of 2,000.
FEW_PAIRS: Final = 200
_MINUTE_S: Final = 60
_STORED: Final = "{events} WHERE stored_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"
_ONE: Final = "account_id = {account:String} AND sender_domain = {domain:String}"
# An unknown score comes behind all others; of equal ones the larger sender is worse. See `CurrentRow.place`.
_LIST_ORDER: Final = f"(ifNull(score, {UNKNOWN_SCORE}), -toInt64(outcome_count), account_id, sender_domain)"
_LIST_PLACE: Final = (
    "({score:Float64}, {negative_count:Int64}, {after_account:String}, {after_domain:String})"
)
_DOMAIN: Final = "sender_domain = {domain:String}"


Found = list[tuple[Subject, Evidence | None]]
"""Subjects with their evidence; None: there is mail, but its rollups are being repaired."""


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
        few_pairs: int = FEW_PAIRS,
    ) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._layout: Layout = layout_of(settings)
        self._representative_count = representative_count
        self._page_subjects = page_subjects
        self._few_pairs = few_pairs
        self._stored = _STORED.format(events=self._layout.readable("events"))

    def all_evidence(self, as_of: datetime) -> Iterator[Found]:
        """Yield pages with the evidence of every pair of account and sender domain of the last 30 days."""
        subjects = (
            f"{self._layout.readable('rollup_hour')} WHERE cube = 'domain' AND bucket >= {MONTH} "
            f"AND toMonday(bucket) >= toMonday({MONTH})"
        )
        yield from self._pages(subjects, "1", as_of, {})

    def news(self, as_of: datetime, *, since: datetime) -> Iterator[Found]:
        """Yield pages with the evidence of those of whom events were stored since a moment."""
        which = NEWS.format(stored=self._stored)
        yield from self._pages(self._stored, which, as_of, {"since": milliseconds(since)})

    def evidence_of(
        self, account_id: str | None, sender_domain: str, *, as_of: datetime, by_provider: bool = False
    ) -> list[tuple[Subject, Evidence]]:
        """Return the evidence of one sender domain, of each account that uses it or of one."""
        which = _DOMAIN if account_id is None else _ONE
        said = {"domain": sender_domain} | ({} if account_id is None else {"account": account_id})
        dimensions = (*PAIR, "mailbox_provider") if by_provider else PAIR
        added_up = self._added_up(which, as_of, said, dimensions)
        return [(Subject(*names), found) for names, found in added_up if found is not None]

    def by_provider(self, subjects: Sequence[Subject], *, as_of: datetime) -> Found:
        """Return the evidence of some pairs of account and sender domain with each mailbox provider."""
        return self._by_part(subjects, as_of, SOME, ("mailbox_provider",))

    def over_pools(self, subjects: Sequence[Subject], *, as_of: datetime) -> Found:
        """Return the evidence of some pairs of account and sender domain over each IP pool.

        Mail without a pool is in none.
        """
        return self._by_part(subjects, as_of, f"{SOME} AND ip_pool != ''", ("ip_pool", "ip_pool_kind"))

    def by_pool(
        self, account_id: str, sender_domain: str, *, as_of: datetime
    ) -> list[tuple[str, str, Evidence]]:
        """Return (pool, its kind, evidence) of one pair; mail without a pool is in none."""
        which, said = f"{_ONE} AND ip_pool != ''", {"account": account_id, "domain": sender_domain}
        found = self._added_up(which, as_of, said, ("ip_pool", "ip_pool_kind"))
        return [(pool, kind, evidence) for (pool, kind), evidence in found if evidence is not None]

    def of_everybody(self, sender_domain: str, *, as_of: datetime) -> Evidence:
        """Return the evidence of a sender domain over all accounts that use it."""
        found = self._added_up(_DOMAIN, as_of, {"domain": sender_domain}, ("sender_domain",))
        return next((evidence for _, evidence in found if evidence is not None), Evidence({}))

    def _by_part(
        self, subjects: Sequence[Subject], as_of: datetime, which: str, part: Sequence[str]
    ) -> Found:
        """Return the evidence of some pairs, of each part of their mail by itself."""
        found: Found = []
        for some in batches(subjects):
            said = {
                "accounts": [subject.account_id for subject in some],
                "domains": [subject.sender_domain for subject in some],
            }
            found += self._evidence(which, as_of, said, (*PAIR, *part), pair_count=len(some))
        return found

    def _added_up(
        self, which: str, as_of: datetime, said: dict[str, Any], dimensions: Sequence[str]
    ) -> Iterator[tuple[tuple[str, ...], Evidence | None]]:
        """Return the evidence of few subjects, in order of their dimensions."""
        minute = _minute(as_of)
        query = parts_query(self._layout, which=which, dimensions=dimensions)
        return evidence_by_subject(
            self._rows(query, {**said, "as_of": minute}, max_threads=1),
            dimension_count=len(dimensions),
            as_of=datetime.fromtimestamp(minute, UTC),
            representative_count=self._representative_count,
        )

    def _pages(self, subjects: str, which: str, as_of: datetime, said: dict[str, Any]) -> Iterator[Found]:
        """Yield the evidence page by page.

        Args:
            subjects: Where the subjects stand: a table and a condition.
            which: A condition on rollup rows that selects them.
        """
        after, passed, known = ("", ""), 0, {**said, "as_of": _minute(as_of), "size": self._page_subjects}
        for last_account, last_domain, number in self._rows(pages_query(subjects), known):
            ends = {
                "after_account": after[0],
                "after_domain": after[1],
                "last_account": last_account,
                "last_domain": last_domain,
            }
            page = f"{which} AND {AFTER} AND {UP_TO}"
            yield self._evidence(page, as_of, said | ends, PAIR, pair_count=number - passed)
            after, passed = (last_account, last_domain), number

    def _evidence(
        self, which: str, as_of: datetime, said: dict[str, Any], dimensions: Sequence[str], *, pair_count: int
    ) -> Found:
        """Return the evidence of pairs, or of parts of their mail; of counts that cannot be None, which is told."""

        def subject_of(names: Sequence[str]) -> Subject:
            return Subject(**dict(zip(dimensions, names, strict=True)))

        if pair_count <= self._few_pairs:
            added_up = self._added_up(which, as_of, said, dimensions)
            return [(subject_of(names), evidence) for names, evidence in added_up]
        found: Found = []
        for names, counts in self._counted(which, as_of, said, dimensions):
            subject = subject_of(names)
            try:
                found.append((subject, evidence_of_counted(counts, self._representative_count)))
            except DataError as error:  # rollups that are being repaired: the next look sees them whole
                log.warning("evidence_unreadable", sender_domain=subject.sender_domain, reason=str(error))
                found.append((subject, None))
        return found

    def _counted(
        self, which: str, as_of: datetime, said: dict[str, Any], dimensions: Sequence[str]
    ) -> Iterator[tuple[tuple[Any, ...], Counted]]:
        """Yield each subject with what the three queries counted of it."""
        known = {**said, "as_of": _minute(as_of)}
        asked: dict[str, Any] = {"which": which, "dimensions": dimensions}
        # In this order: what is stored between two questions is missing of the day for a moment, never of the month.
        by_minute = self._by_subject(minute_query(self._layout, **asked), known, dimensions)
        by_hour = self._by_subject(hour_query(self._layout, **asked), known, dimensions)
        recent: dict[tuple[Any, ...], tuple[int, ...]] = {}
        if any(outcomes_of(counts) >= self._representative_count for counts in by_hour.values()):
            known["recent"] = self._representative_count
            recent = self._by_subject(recent_query(self._layout, **asked), known, dimensions)
        for names in sorted(by_hour.keys() | by_minute.keys()):
            yield names, Counted(by_hour.get(names), by_minute.get(names), recent.get(names))

    def _by_subject(
        self, query: str, said: dict[str, Any], dimensions: Sequence[str]
    ) -> dict[tuple[Any, ...], tuple[int, ...]]:
        width = len(dimensions)
        return {row[:width]: row[width:] for row in self._rows(query, said)}

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
        self,
        sender_domain: str | None = None,
        *,
        account_id: str | None = None,
        limit: int = 1_000_000,
        after: ListPlace | None = None,
    ) -> list[CurrentRow]:
        """Return what is said of senders now, the worst first; those behind the place `after`."""
        said: dict[str, Any] = {"limit": limit}
        conditions = ["mailbox_provider = ''"]
        if sender_domain is not None:
            conditions.append("sender_domain = {domain:String}")
            said["domain"] = sender_domain
        if account_id is not None:
            conditions.append("account_id = {account:String}")
            said["account"] = account_id
        if after is not None:
            conditions.append(f"{_LIST_ORDER} > {_LIST_PLACE}")
            said |= dict(
                zip(("score", "negative_count", "after_account", "after_domain"), after, strict=True)
            )
        query = (
            f"SELECT {', '.join(_CURRENT_NAMES)} FROM {self._layout.readable('reputation_current')} FINAL "
            f"WHERE {' AND '.join(conditions)} "
            f"ORDER BY {_LIST_ORDER} LIMIT {{limit:UInt64}}"
        )
        return [CurrentRow(**dict(zip(_CURRENT_NAMES, row, strict=True))) for row in self._rows(query, said)]

    def restore(self, partition: int, partitions: int) -> list[tuple[Subject, str]]:
        """Return (subject, state) of every sender that a partition owns, and of its mail over each pool."""
        mine = "FINAL WHERE owner_hash % {partitions:UInt64} = {partition:UInt64}"
        query = (
            "SELECT account_id, sender_domain, toString(mailbox_provider), '', '', state "
            f"FROM {self._layout.readable('reputation_current')} {mine} UNION ALL "
            "SELECT account_id, sender_domain, '', toString(ip_pool), toString(ip_pool_kind), state "
            f"FROM {self._layout.readable('reputation_pools')} {mine} AND outcome_count > 0"
        )
        rows = self._rows(query, {"partition": partition, "partitions": partitions})
        return [(Subject(*row[:-1]), row[-1]) for row in rows]

    def _rows(self, query: str, parameters: dict[str, Any], **settings: Any) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where, **settings)


_CURRENT_NAMES: Final = row_names(CurrentRow, "ip_pool", "ip_pool_kind")


def _day(day: date, counts: Sequence[int]) -> DailyCounts:
    begin = datetime.combine(day, time(), tzinfo=UTC)
    return DailyCounts(milliseconds(begin), WindowCounts(**dict(zip(COUNT_NAMES, counts, strict=True))))


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // _MINUTE_S * _MINUTE_S
