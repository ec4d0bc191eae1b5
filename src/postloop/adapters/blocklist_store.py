"""The blocklist as ClickHouse keeps it: written by the journal, read by commands, and restored from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.migrations import layout_of
from postloop.settings import Settings

_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One published change."""

    event_id: str
    change: str
    entry_id: str
    scope: str
    recipient: str
    recipient_form: str
    mailbox_provider: str
    reason: str
    cause_account_ids: Sequence[str]
    source_event_ids: Sequence[str]
    smtp_text: str
    rule: str
    rule_version: str
    starts_at: datetime
    inserted_at: datetime
    expires_at: datetime | None
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """What is known of one address in one scope."""

    recipient_hash: int
    scope: str
    recipient: str
    version: int
    value: str
    is_deleted: bool
    is_active: bool
    entry_id: str = ""
    reason: str = ""
    cause_account_ids: Sequence[str] = ()
    mailbox_provider: str = ""
    recipient_form: str = ""
    smtp_text: str = ""
    rule: str = ""
    rule_version: str = ""
    source_event_ids: Sequence[str] = ()
    starts_at: datetime | None = None
    inserted_at: datetime | None = None
    expires_at: datetime | None = None
    last_delivery_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """One command with its answer."""

    command_id: str
    command: str
    scope: str
    recipient: str
    actor_kind: str
    actor_id: str
    reason: str
    requested_at: datetime
    answered_at: datetime
    outcome: str
    code: str
    text: str
    event_ids: Sequence[str]


Row = LogRow | EntryRow | CommandRow


class BlocklistWriter:
    """Writes rows; the tables keep one of equal ones."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def write_log(self, rows: Sequence[LogRow]) -> None:
        """Store changes."""
        self._insert("blocklist_log", rows)

    def write_entries(self, rows: Sequence[EntryRow]) -> None:
        """Store what is known of addresses."""
        self._insert("blocklist_entries", rows)

    def write_commands(self, rows: Sequence[CommandRow]) -> None:
        """Store commands with their answers."""
        self._insert("blocklist_commands", rows)

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        names = [field.name for field in fields(rows[0])]
        with translated("ClickHouse"):
            self._client.insert(
                table,
                [[_plain(getattr(row, name)) for name in names] for row in rows],
                column_names=names,
                settings={"async_insert": 0},
            )


class BlocklistReader:
    """Answers questions about the list."""

    def __init__(self, client: Client, settings: Settings) -> None:
        layout = layout_of(settings)
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._log = layout.readable("blocklist_log")
        self._entries = layout.readable("blocklist_entries")
        self._hours = layout.readable("rollup_hour")

    def entry(self, scope: str | None, recipient: str) -> list[EntryRow]:
        """Return what is known of a recipient, in one scope or in all."""
        condition = "recipient = {recipient:String} AND is_deleted = 0"
        parameters: dict[str, Any] = {"recipient": recipient}
        if scope is not None:
            condition += " AND scope = {scope:String}"
            parameters["scope"] = scope
        return [
            EntryRow(**row)
            for row in self._rows(EntryRow, self._entries, condition, parameters, "ORDER BY scope")
        ]

    def history(self, recipient: str, limit: int) -> list[LogRow]:
        """Return the newest changes of a recipient, the newest first."""
        tail = f"ORDER BY at DESC, event_id LIMIT {int(limit)}"
        rows = self._rows(LogRow, self._log, "recipient = {recipient:String}", {"recipient": recipient}, tail)
        return [LogRow(**row) for row in rows]

    def active(
        self,
        *,
        account: str | None = None,
        scope: str | None = None,
        reason: str | None = None,
        provider: str | None = None,
        starts_from: datetime | None = None,
        starts_to: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[EntryRow]:
        """Yield what blocks now, in pages that bound memory."""
        condition, parameters = _active(account, scope, reason, provider, starts_from, starts_to)
        after, left = (-1, "", ""), limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page_condition, page_parameters = condition, dict(parameters)
            if after[0] >= 0:
                page_condition += (
                    " AND (recipient_hash, scope, recipient) > ({h:UInt64}, {s:String}, {r:String})"
                )
                page_parameters.update(h=after[0], s=after[1], r=after[2])
            tail = f"ORDER BY recipient_hash, scope, recipient LIMIT {size}"
            page = self._rows(EntryRow, self._entries, page_condition, page_parameters, tail)
            yield from (EntryRow(**row) for row in page)
            if len(page) < size:
                return
            last = page[-1]
            after = (last["recipient_hash"], last["scope"], last["recipient"])
            left = None if left is None else left - len(page)

    def count_active(
        self,
        *,
        account: str | None = None,
        scope: str | None = None,
        reason: str | None = None,
        provider: str | None = None,
        starts_from: datetime | None = None,
        starts_to: datetime | None = None,
    ) -> int:
        """Return how many entries `active` would yield."""
        condition, parameters = _active(account, scope, reason, provider, starts_from, starts_to)
        query = f"SELECT count() FROM {self._entries} FINAL WHERE {condition}"  # noqa: S608
        with translated(self._where):
            return int(self._client.query(query, parameters=parameters).result_rows[0][0])

    def restore(self, partition: int, partitions: int) -> Iterator[list[tuple[str, str, int, bytes]]]:
        """Yield pages of (scope, recipient, version, value) of the entries that a partition owns."""
        after = (-1, "", "")
        while True:
            condition = "recipient_hash % {n:UInt64} = {p:UInt64} AND is_deleted = 0"
            parameters: dict[str, Any] = {"n": partitions, "p": partition}
            if after[0] >= 0:
                condition += " AND (recipient_hash, scope, recipient) > ({h:UInt64}, {s:String}, {r:String})"
                parameters.update(h=after[0], s=after[1], r=after[2])
            query = (
                f"SELECT recipient_hash, scope, recipient, version, value FROM {self._entries} FINAL "  # noqa: S608
                f"WHERE {condition} ORDER BY recipient_hash, scope, recipient LIMIT {_PAGE}"
            )
            with translated(self._where):
                rows = self._client.query(query, parameters=parameters).result_rows
            if rows:
                yield [(row[1], row[2], row[3], row[4].encode()) for row in rows]
            if len(rows) < _PAGE:
                return
            after = tuple(rows[-1][:3])

    def owns_domain(self, account_id: str, sender_domain: str) -> bool:
        """Return whether an account has any event of a sender domain."""
        query = (
            f"SELECT 1 FROM {self._hours} WHERE cube = 'domain' AND account_id = {{account:String}} "  # noqa: S608
            "AND sender_domain = {domain:String} LIMIT 1"
        )
        with translated(self._where):
            return bool(
                self._client.query(
                    query, parameters={"account": account_id, "domain": sender_domain}
                ).result_rows
            )

    def _rows(
        self, kind: type[Any], table: str, condition: str, parameters: dict[str, Any], tail: str
    ) -> list[dict[str, Any]]:
        names = [field.name for field in fields(kind)]
        query = f"SELECT {', '.join(names)} FROM {table} FINAL WHERE {condition} {tail}"  # noqa: S608
        with translated(self._where):
            found = self._client.query(query, parameters=parameters, tz_mode="aware").result_rows
        return [dict(zip(names, row, strict=True)) for row in found]


def _active(
    account: str | None,
    scope: str | None,
    reason: str | None,
    provider: str | None,
    starts_from: datetime | None,
    starts_to: datetime | None,
) -> tuple[str, dict[str, Any]]:
    wanted = {
        "has(cause_account_ids, {account:String})": ("account", account),
        "scope = {scope:String}": ("scope", scope),
        "reason = {reason:String}": ("reason", reason),
        "mailbox_provider = {provider:String}": ("provider", provider),
        "starts_at >= {since:DateTime64(3)}": ("since", starts_from),
        "starts_at < {until:DateTime64(3)}": ("until", starts_to),
    }
    used = {condition: pair for condition, pair in wanted.items() if pair[1] is not None}
    blocks = "is_deleted = 0 AND is_active AND (isNull(expires_at) OR expires_at > now64(3))"
    return " AND ".join([blocks, *used]), dict(used.values())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
