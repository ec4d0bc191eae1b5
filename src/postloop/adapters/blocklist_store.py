"""The blocklist in ClickHouse: its log, its entries and its commands, written at least once and read as if once.

The tables keep one of equal rows: a change by its event id, a command by its id, an entry by its highest version. So
every write may be repeated, and every read says FINAL.
"""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, Unpack

from clickhouse_connect.driver.client import Client

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.blocklist_report import others_domains, seen_by
from postloop.adapters.blocklist_rows import (
    AlertRow,
    CommandRow,
    EntryFilter,
    EntryRow,
    GuardRow,
    HistoryRow,
    HitRow,
    LogRow,
    Place,
)
from postloop.adapters.clickhouse import rows_of, stored_settings, translated
from postloop.adapters.migration_render import Layout
from postloop.adapters.migrations import layout_of, parts
from postloop.adapters.row_inserts import RowInserts
from postloop.adapters.view_windows import WINDOWS
from postloop.settings import Settings

__all__ = [
    "AlertRow",
    "BlocklistReader",
    "BlocklistWriter",
    "CommandRow",
    "EntryFilter",
    "EntryRow",
    "GuardRow",
    "HistoryRow",
    "HitRow",
    "LogRow",
    "Place",
]

# An entry takes about 1 KB: some MB a page.
PAGE_ROWS: Final = 10_000
_FIRST: Final[Place] = (0, "", "")
_ENTRY_NAMES: Final = tuple(field.name for field in fields(EntryRow))
_HIT_NAMES: Final = tuple(field.name for field in fields(HitRow))
_HISTORY_NAMES: Final = tuple(field.name for field in fields(HistoryRow))
_ARRAYS: Final = frozenset({"cause_account_ids", "source_event_ids"})
# The hash once more by itself: a comparison of tuples does not use the sorting key.
_AFTER: Final = (
    "recipient_hash >= {hash:UInt64} "
    "AND (recipient_hash, scope, recipient) > ({hash:UInt64}, {scope:String}, {recipient:String})"
)
# Of the changes of one entry in one millisecond: it begins, lasts longer, ends.
_LATER_OF_AN_INSTANT: Final = (
    "indexOf(['inserted', 'extended', 'expired'], change) DESC, expires_at IS NULL DESC, expires_at DESC"
)
_CONDITIONS: Final = {
    "account": "has(e.cause_account_ids, {f_account:String})",
    "scope": "e.scope = {f_scope:String}",
    "reason": "e.reason = {f_reason:String}",
    "provider": "e.mailbox_provider = {f_provider:String}",
    "starts_from": "e.starts_at >= {f_starts_from:DateTime64(3,'UTC')}",
    "starts_to": "e.starts_at < {f_starts_to:DateTime64(3,'UTC')}",
}


class BlocklistWriter:
    """Writes rows; a repeat changes nothing. Every method blocks, and returns when the rows are stored.

    Args:
        cluster: The name of the cluster, empty on one node. There the rows go through the table over all shards: the
            copies of a row must meet on one shard to replace each other.

    Raises:
        UnavailableError: Not stored, or not known whether it was: write again.
        RefusedError: ClickHouse does not take the rows.
    """

    def __init__(self, client: Client, *, cluster: str = "") -> None:
        self._layout = Layout(cluster=cluster)
        self._inserts = RowInserts(client, stored_settings(cluster=cluster))

    def write_log(self, rows: Sequence[LogRow]) -> None:
        """Store published changes."""
        self._insert("blocklist_log", rows)

    def write_entries(self, rows: Sequence[EntryRow]) -> None:
        """Store what is known of addresses, or that it is forgotten (`is_deleted`)."""
        self._insert("blocklist_entries", rows)

    def write_commands(self, rows: Sequence[CommandRow]) -> None:
        """Store commands with their answers."""
        self._insert("blocklist_commands", rows)

    def write_guard(self, rows: Sequence[GuardRow]) -> None:
        """Store what the incident guard keeps."""
        self._insert("blocklist_guard", rows)

    def write_alerts(self, rows: Sequence[AlertRow]) -> None:
        """Store events of alerts, of any kind."""
        self._insert("delivery_alerts", rows)

    def _insert(
        self, table: str, rows: Sequence[LogRow | EntryRow | CommandRow | GuardRow | AlertRow]
    ) -> None:
        if not rows:
            return
        names = [field.name for field in fields(rows[0])]
        columns = [[getattr(row, name) for row in rows] for name in names]
        with translated(f"insert into {table}"):
            self._inserts.insert(self._layout.readable(table), names, columns, by_column=True)


class BlocklistReader:
    """Reads what the writer wrote. Every method blocks, iterators with each page.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        layout = layout_of(settings)
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._entries = f"{layout.readable('blocklist_entries')} AS e FINAL"
        self._guard = f"{layout.readable('blocklist_guard')} FINAL"
        self._hours = layout.readable("rollup_hour")
        self._blocks_now = parts()["blocks_now"].strip()
        self._newest = {"select_sequential_consistency": 1} if layout.cluster else {}

    def entry(self, scope: str | None, recipient: str) -> list[EntryRow]:
        """Return what is known of an address in one scope or, where None is given, in all, by scope.

        Args:
            recipient: In its published form.
        """
        condition = "e.recipient_hash = {hash:UInt64} AND e.recipient = {recipient:String}"
        if scope is not None:
            condition += " AND e.scope = {scope:String}"
        query = f"SELECT {', '.join(_ENTRY_NAMES)} FROM {self._entries} WHERE {condition} ORDER BY scope"
        said = {"hash": recipient_hash(recipient), "recipient": recipient, "scope": scope or ""}
        return [_entry(row) for row in self._rows(query, said)]

    def history(self, recipient: str, limit: int) -> list[HistoryRow]:
        """Return the newest changes of an address in all scopes, the newest first."""
        query = (
            f"SELECT {', '.join(_HISTORY_NAMES)} FROM v_blocklist_history "
            "WHERE recipient = {recipient:String} "
            f"ORDER BY at DESC, inserted_at DESC, {_LATER_OF_AN_INSTANT}, event_id LIMIT {{limit:UInt64}}"
        )
        rows = self._rows(query, {"recipient": recipient, "limit": limit})
        return [HistoryRow(**_tupled(_HISTORY_NAMES, row)) for row in rows]

    def active(
        self, *, limit: int | None = None, after: Place | None = None, **wanted: Unpack[EntryFilter]
    ) -> Iterator[EntryRow]:
        """Yield the entries that block now, a page of them in memory at a time.

        The order is that of `EntryRow.place`: stable, so that a list can be continued, and without a meaning.

        Args:
            after: The place of the last entry that was seen.
        """
        condition, said = self._active(wanted)
        left = limit
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
            page = [_entry(row) for row in self._page(_ENTRY_NAMES, condition, said, after=after, limit=size)]
            yield from page
            if len(page) < size:
                return
            after = page[-1].place
            left = None if left is None else left - size

    def count_active(self, **wanted: Unpack[EntryFilter]) -> int:
        """Return how many entries block now."""
        condition, said = self._active(wanted)
        return int(self._rows(f"SELECT count() FROM {self._entries} WHERE {condition}", said)[0][0])

    def hits(
        self,
        window: str,
        *,
        account: str | None = None,
        sender_domain: str | None = None,
        as_of: datetime | None = None,
    ) -> list[HitRow]:
        """Return the sends that were stopped in a window, most of them first.

        Args:
            window: 1h, 24h, 7d or 30d.
            as_of: The end of the window; None: now.
        """
        if window not in {known.name for known in WINDOWS}:
            raise ValueError(f"no window of views: {window!r}")
        view = (
            "v_blocklist_hits"
            if as_of is None
            else "v_blocklist_hits_at(as_of = {as_of:DateTime64(3,'UTC')})"
        )
        # The name of the window as a constant: only then are the others not read.
        conditions = [f"window = '{window}'"]
        if account is not None:
            conditions.append("account_id = {account:String}")
        if sender_domain is not None:
            conditions.append("sender_domain = {sender_domain:String}")
        query = (
            f"SELECT {', '.join(_HIT_NAMES)} FROM {view} WHERE {' AND '.join(conditions)} "
            "ORDER BY hit_count DESC, account_id, sender_domain, reason"
        )
        said = {"account": account, "sender_domain": sender_domain, "as_of": as_of}
        rows = self._rows(query, {name: value for name, value in said.items() if value is not None})
        return [HitRow(**dict(zip(_HIT_NAMES, row, strict=True))) for row in rows]

    def restore(self, partition: int, partitions: int) -> Iterator[list[tuple[str, str, int, bytes]]]:
        """Yield pages of (scope, recipient, version, value) of everything that a partition owns.

        Pages follow each other by the sorting key, so each costs the same, and a slow reader holds no query open.
        """
        condition = "e.recipient_hash % {partitions:UInt64} = {partition:UInt64}"
        said = {"partition": partition, "partitions": partitions}
        names = ("recipient_hash", "scope", "recipient", "version", "value")
        after: Place | None = None
        while page := self._page(names, condition, said, after=after, limit=PAGE_ROWS, **self._newest):
            yield [
                (scope, recipient, version, value.encode()) for _, scope, recipient, version, value in page
            ]
            after = page[-1][:3]

    def restore_guard(self, partition: int, partitions: int) -> list[tuple[str, bytes]]:
        """Return (key, value) of what the incident guard keeps in a partition: little, but for held bounces."""
        query = (
            f"SELECT key, value FROM {self._guard} WHERE startsWith(key, 'g|') "
            "OR owner_hash % {partitions:UInt64} = {partition:UInt64} ORDER BY key"
        )
        said = {"partition": partition, "partitions": partitions}
        return [(key, value.encode()) for key, value in self._rows(query, said, **self._newest)]

    def owns_domain(self, account_id: str, sender_domain: str) -> bool:
        """Return whether the account has any event from this sender domain, as far back as the hours reach."""
        return bool(self.owned(account_id, [sender_domain]))

    def owned(self, account_id: str, sender_domains: Collection[str]) -> frozenset[str]:
        """Return those of some sender domains from which the account has any event, as far back as the hours reach."""
        if not sender_domains:
            return frozenset()
        query = (
            f"SELECT sender_domain FROM {self._hours} WHERE `cube` = 'domain' AND account_id = {{account:String}} "
            "AND sender_domain IN {domains:Array(String)} GROUP BY sender_domain HAVING sum(event_count) > 0"
        )
        said = {"account": account_id, "domains": sorted(sender_domains)}
        return frozenset(domain for (domain,) in self._rows(query, said))

    def seen_by(self, account_id: str, recipient: str) -> list[dict[str, Any]]:
        """Return the entries of an address as an account may see them, or whole for the platform (no account).

        Args:
            recipient: In its published form.
        """
        rows = self.entry(None, recipient)
        owned = self.owned(account_id, others_domains(rows, account_id)) if account_id else frozenset()
        found = (seen_by(row, account_id, owned=owned) for row in rows)
        return [entry for entry in found if entry is not None]

    def _active(self, wanted: EntryFilter) -> tuple[str, dict[str, Any]]:
        said = {f"f_{name}": value for name, value in wanted.items() if value is not None}
        conditions = [self._blocks_now, *(_CONDITIONS[name.removeprefix("f_")] for name in said)]
        return " AND ".join(conditions), said

    def _page(
        self,
        names: Sequence[str],
        condition: str,
        said: dict[str, Any],
        *,
        after: Place | None,
        limit: int,
        **settings: Any,
    ) -> list[tuple[Any, ...]]:
        query = (
            f"SELECT {', '.join(names)} FROM {self._entries} WHERE {condition} AND {_AFTER} "
            "ORDER BY recipient_hash, scope, recipient LIMIT {limit:UInt64}"
        )
        place = dict(zip(("hash", "scope", "recipient"), after or _FIRST, strict=True))
        return self._rows(query, {**said, **place, "limit": limit}, **settings)

    def _rows(self, query: str, parameters: dict[str, Any], **settings: Any) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, parameters, where=self._where, **settings)


def _entry(row: Sequence[Any]) -> EntryRow:
    values = _tupled(_ENTRY_NAMES, row)
    return EntryRow(**{**values, "is_deleted": bool(values["is_deleted"])})


def _tupled(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    pairs = zip(names, row, strict=True)
    return {name: tuple(value) if name in _ARRAYS else value for name, value in pairs}
