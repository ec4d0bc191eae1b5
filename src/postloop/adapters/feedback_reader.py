"""What the rollups say of delivery times and of feedback: slices and hours of many scopes at once."""

# ruff: noqa: S608 - names and numbers in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.adapters.migrations import layout_of
from postloop.domain.alert import Scope
from postloop.domain.delivery_time import Slice
from postloop.domain.providers import CORPORATE, OTHER
from postloop.domain.silence import Feedback, FeedbackHour
from postloop.settings import Settings

_NO_PROVIDERS: Final = frozenset({CORPORATE, OTHER})
"""Many operators under one name: nobody is slow there, though a domain's mail to them counts as its mail."""
_SECOND_MS: Final = 1000
_HOUR_MS: Final = 3_600_000
_SINCE: Final = "toDateTime({since:UInt32}, 'UTC')"
_UNTIL: Final = "toDateTime({until:UInt32}, 'UTC')"
_COUNTS: Final = (
    "toUInt64(greatest(sum(r.send_count) - sum(r.rejected_count) - sum(r.suppressed_count), 0)) AS accepted, "
    "toUInt64(greatest(sum(r.delivered_count), 0)) AS delivered, "
    "toUInt64(greatest(sum(r.hard_bounce_count) + sum(r.soft_bounce_count), 0)) AS bounces, "
    "toUInt64(greatest(sum(r.complaint_count), 0)) AS complaints, "
    "toUInt64(greatest(sum(r.open_count), 0)) AS opens"
)
_PAIRS: Final = (
    "(account_id, sender_domain) IN (SELECT pair.1, pair.2 FROM "
    "(SELECT arrayJoin(arrayZip({accounts:Array(String)}, {domains:Array(String)})) AS pair))"
)


class FeedbackCounts(NamedTuple):
    """What an hour of event time counted."""

    accepted: int = 0
    delivered: int = 0
    bounces: int = 0
    complaints: int = 0
    opens: int = 0

    def seen(self, feedback: Feedback) -> int:
        """Return how much feedback of a kind there was."""
        return {
            "delivery": self.delivered,
            "bounce": self.bounces,
            "complaint": self.complaints,
            "open": self.opens,
        }[feedback]

    def hour(self, feedback: Feedback, at_ms: int) -> FeedbackHour:
        """Return the hour as the rules take it: deliveries are expected of accepted sends, the others of deliveries."""
        mail = self.accepted if feedback == "delivery" else self.delivered
        return FeedbackHour(at_ms=at_ms, mail_count=mail, seen_count=self.seen(feedback))


@dataclass(frozen=True, slots=True)
class Hours:
    """Counts by scope and hour; what is missing counted nothing."""

    first_ms: int
    until_ms: int
    counts: dict[Scope, dict[int, FeedbackCounts]]

    def of(self, scope: Scope, feedback: Feedback, *, after_ms: int = -1) -> list[FeedbackHour]:
        """Return every hour of a scope behind a moment, those without anything too."""
        counted, nothing = self.counts.get(scope, {}), FeedbackCounts()
        first_ms = max(self.first_ms, after_ms // _HOUR_MS * _HOUR_MS + _HOUR_MS)
        return [
            counted.get(at_ms, nothing).hour(feedback, at_ms)
            for at_ms in range(first_ms, self.until_ms, _HOUR_MS)
        ]


class FeedbackReader:
    """Reads counts of all accounts. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        layout = layout_of(settings)
        self._minutes, self._hours = layout.readable("rollup_minute"), layout.readable("rollup_hour")

    def slices(
        self, since: datetime, until: datetime, *, slice_ms: int, min_delivered_count: int
    ) -> list[tuple[Scope, list[Slice]]]:
        """Return deliveries by slice: of senders at each provider, of senders, and of providers.

        Args:
            since: Rounded down to a slice.
            min_delivered_count: Scopes with fewer deliveries in all are left out.
        """
        slice_s = slice_ms // _SECOND_MS
        counted = (
            "SELECT toString(account_id) AS account, toString(sender_domain) AS domain, "
            "toString(mailbox_provider) AS provider, "
            f"intDiv(toUnixTimestamp(bucket), {slice_s}) AS slice, sum(r.delivered_count) AS n, "
            f"sum(r.delayed_count) AS late FROM {self._minutes} AS r WHERE cube = 'latency' "
            f"AND bucket >= {_SINCE} AND bucket < {_UNTIL} "
            f"AND toDate(bucket) >= toDate({_SINCE}) AND toDate(bucket) <= toDate({_UNTIL}) "
            "GROUP BY GROUPING SETS ((account, domain, provider, slice), (account, domain, slice), (provider, slice)) "
            "HAVING n > 0"
        )
        query = (
            "SELECT account, domain, provider, groupArray((slice, n, greatest(late, 0))) AS slices "
            f"FROM ({counted}) GROUP BY account, domain, provider HAVING sum(n) >= {{least:UInt64}}"
        )
        begin_s = int(since.timestamp()) // slice_s * slice_s
        said = {"since": begin_s, "until": int(until.timestamp()), "least": min_delivered_count}
        rows = self._rows(query, said)
        return [(_scope(*row[:3]), _slices(row[3], slice_ms)) for row in rows if row[2] not in _NO_PROVIDERS]

    def hours(self, since: datetime, until: datetime, *, scopes: Sequence[Scope] | None = None) -> Hours:
        """Return the counts of every hour by sender, and those of everybody together.

        Args:
            since, until: Whole hours; `until` is excluded.
            scopes: Only those senders, and nothing of everybody.
        """
        if scopes is None:
            return self._counted("1", "GROUPING SETS ((account, domain, hour), (hour))", since, until, {})
        said = {
            "accounts": [scope.account_id or "" for scope in scopes],
            "domains": [scope.sender_domain or "" for scope in scopes],
        }
        return self._counted(_PAIRS, "account, domain, hour", since, until, said)

    def everybody(self, since: datetime, until: datetime) -> Hours:
        """Return the counts of every hour, of all senders together; whole hours, `until` is excluded."""
        return self._counted("1", "hour", since, until, {}, who="'' AS account, '' AS domain")

    def _counted(
        self,
        which: str,
        by: str,
        since: datetime,
        until: datetime,
        said: dict[str, Any],
        *,
        who: str = "toString(account_id) AS account, toString(sender_domain) AS domain",
    ) -> Hours:
        query = (
            f"SELECT {who}, toUnixTimestamp(bucket) AS hour, {_COUNTS} FROM {self._hours} AS r "
            f"WHERE {_between(which)} GROUP BY {by}"
        )
        since_s, until_s = int(since.timestamp()), int(until.timestamp())
        found: defaultdict[Scope, dict[int, FeedbackCounts]] = defaultdict(dict)
        for account, domain, hour_s, *counts in self._rows(
            query, {**said, "since": since_s, "until": until_s}
        ):
            found[_scope(account, domain, "")][hour_s * _SECOND_MS] = FeedbackCounts(*counts)
        return Hours(since_s * _SECOND_MS, until_s * _SECOND_MS, dict(found))

    def busy(
        self, since: datetime, until: datetime, *, min_count: int, limit: int
    ) -> list[tuple[Scope, FeedbackCounts]]:
        """Return senders with so much feedback of one kind at least, those with most of it first."""
        query = (
            f"SELECT toString(account_id) AS account, toString(sender_domain) AS domain, {_COUNTS} "
            f"FROM {self._hours} AS r WHERE {_between('1')} GROUP BY account, domain "
            "HAVING greatest(delivered, bounces, complaints, opens) >= {least:UInt64} "
            "ORDER BY delivered + bounces + complaints + opens DESC LIMIT {most:UInt64}"
        )
        said = {
            "since": int(since.timestamp()),
            "until": int(until.timestamp()),
            "least": min_count,
            "most": limit,
        }
        return [
            (_scope(account, domain, ""), FeedbackCounts(*counts))
            for account, domain, *counts in self._rows(query, said)
        ]

    def has_passed(self, at: datetime, *, until: datetime) -> bool:
        """Return whether any event was stored that occurred between two moments: the recorder is that far."""
        query = (
            f"SELECT sum(r.event_count) > 0 FROM {self._minutes} AS r WHERE cube = 'topic' "
            f"AND bucket >= {_SINCE} AND bucket < {_UNTIL} "
            f"AND toDate(bucket) >= toDate({_SINCE}) AND toDate(bucket) <= toDate({_UNTIL})"
        )
        ((passed,),) = self._rows(query, {"since": int(at.timestamp()), "until": int(until.timestamp())})
        return bool(passed)

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where)


def _between(which: str) -> str:
    """Return the condition on hours: the weeks once more by themselves, since only that uses the sorting key."""
    return (
        f"cube = 'domain' AND bucket >= {_SINCE} AND bucket < {_UNTIL} "
        f"AND toMonday(bucket) >= toMonday({_SINCE}) AND toMonday(bucket) <= toMonday({_UNTIL}) AND {which}"
    )


def _scope(account_id: str, sender_domain: str, mailbox_provider: str) -> Scope:
    return Scope(
        account_id=account_id or None,
        sender_domain=sender_domain or None,
        mailbox_provider=mailbox_provider or None,
    )


def _slices(counted: list[tuple[int, int, int]], slice_ms: int) -> list[Slice]:
    return [
        Slice(at_ms=number * slice_ms, delivered_count=count, delayed_count=min(late, count))
        for number, count, late in counted
    ]
