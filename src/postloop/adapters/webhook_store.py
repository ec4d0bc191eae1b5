"""Webhooks in ClickHouse: endpoints, attempts, what was given up and what waits, written at least once."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import stored_settings, translated
from postloop.adapters.journal import Record, Refused, read_each, version_of
from postloop.adapters.migration_render import Layout
from postloop.adapters.row_inserts import RowInserts
from postloop.contracts.webhook_attempt import (
    AttemptLogV1,
    AttemptV1,
    BacklogV1,
    DeadWebhookV1,
    attempt_log_from_bytes,
)
from postloop.contracts.webhook_endpoint import NO_ENDPOINT, read_endpoint
from postloop.domain.errors import DataError
from postloop.domain.event_types import WEBHOOK_ATTEMPT_TOPIC, WEBHOOK_ENDPOINT_TOPIC, prefixed

PAGE_ROWS: Final = 5_000
_TABLES: Final[dict[str, tuple[str, type[AttemptV1 | DeadWebhookV1 | BacklogV1]]]] = {
    "attempts": ("webhook_attempts", AttemptV1),
    "dead": ("webhook_dead", DeadWebhookV1),
    "backlog": ("webhook_backlog", BacklogV1),
}
_ENDPOINT_COLUMNS: Final = ("endpoint_id", "account_id", "version", "is_deleted", "state", "cause", "value")


class WebhookJournal:
    """Copies records of the topics of endpoints and attempts into ClickHouse; a repeat changes nothing.

    Args:
        prefix: Of the topics.
        cluster: The name of the cluster, empty on one node.
    """

    def __init__(self, client: Client, *, prefix: str, cluster: str = "") -> None:
        self._layout = Layout(cluster=cluster)
        self._inserts = RowInserts(client, stored_settings(cluster=cluster))
        self._endpoints = prefixed(WEBHOOK_ENDPOINT_TOPIC, prefix=prefix)
        self._attempts = prefixed(WEBHOOK_ATTEMPT_TOPIC, prefix=prefix)

    def write(self, records: Sequence[Record]) -> Sequence[Refused]:
        """Store records in the order in which they come, and return those that are none.

        Raises:
            UnavailableError, RefusedError: ClickHouse is away or refuses.
        """
        endpoints: dict[str, tuple[Any, ...]] = {}
        logs: list[AttemptLogV1] = []

        def read(record: Record) -> None:
            if record.topic == self._attempts:
                logs.append(attempt_log_from_bytes(record.value or b""))
            elif (name := (record.key or b"").decode()) not in NO_ENDPOINT:
                endpoints[name] = _endpoint(name, record)

        refused = read_each(records, read)
        self._insert("webhook_endpoints", _ENDPOINT_COLUMNS, list(endpoints.values()))
        self._write_logs(logs)
        return refused

    def _write_logs(self, logs: Sequence[AttemptLogV1]) -> None:
        for name, (table, model) in _TABLES.items():
            columns = tuple(model.model_fields)
            values_of = attrgetter(*columns)
            account = columns.index("account_id")
            rows = [_row(values_of(row), account) for log in logs for row in getattr(log, name)]
            self._insert(table, columns, rows)

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with translated(f"insert into {table}"):
            self._inserts.insert(self._layout.readable(table), columns, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDead:
    """A delivery that was given up, as ClickHouse keeps it."""

    webhook_id: str
    endpoint_id: str
    event_id: str
    type: str
    at: datetime
    body: str


class WebhookMirror:
    """What the role takes from ClickHouse: endpoints where the topic is empty, bodies where the file is gone."""

    def __init__(self, client: Client, *, cluster: str = "") -> None:
        self._client = client
        self._layout = Layout(cluster=cluster)

    def endpoints(self) -> list[bytes]:
        """Return the records of all endpoints, as they stood in the topic, sorted by id."""
        table = self._layout.readable("webhook_endpoints")
        query = f"SELECT value FROM {table} FINAL WHERE is_deleted = 0 ORDER BY endpoint_id"
        return [str(value).encode() for (value,) in self._rows(query, {})]

    def removed(self) -> set[str]:
        """Return the ids of endpoints that were removed, as long as the table tells of them."""
        table = self._layout.readable("webhook_endpoints")
        query = f"SELECT endpoint_id FROM {table} GROUP BY endpoint_id HAVING argMax(is_deleted, version) = 1"
        return {str(name) for (name,) in self._rows(query, {})}

    def dead(self, endpoint_id: str, *, since: datetime) -> Iterator[list[StoredDead]]:
        """Yield pages of what was given up since a moment, in the order of ids."""
        after, table = "", self._layout.readable("webhook_dead")
        while True:
            query = (
                f"SELECT webhook_id, endpoint_id, event_id, type, at, body FROM {table} FINAL "
                "WHERE endpoint_id = {endpoint:String} AND webhook_id > {after:String} "
                "AND at >= {since:DateTime64(3,'UTC')} ORDER BY webhook_id LIMIT {limit:UInt32}"
            )
            rows = self._rows(
                query, {"endpoint": endpoint_id, "after": after, "since": since, "limit": PAGE_ROWS}
            )
            if not rows:
                return
            page = [_dead(row) for row in rows]
            yield page
            after = page[-1].webhook_id

    def _rows(self, query: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        with translated("webhooks cannot be read"):
            rows: Sequence[Sequence[Any]] = self._client.query(query, parameters=parameters).result_rows
            return rows


def _dead(row: Sequence[Any]) -> StoredDead:
    name, endpoint_id, event_id, kind, at, body = row
    return StoredDead(
        webhook_id=name,
        endpoint_id=endpoint_id,
        event_id=event_id,
        type=kind,
        at=at.replace(tzinfo=UTC),
        body=body,
    )


def _row(values: tuple[Any, ...], account: int) -> tuple[Any, ...]:
    """Return a row of such values, the account at that place; the operator's is empty in the database."""
    return (*values[:account], values[account] or "", *values[account + 1 :])


def _endpoint(name: str, record: Record) -> tuple[Any, ...]:
    """Return a row of an endpoint; a null value says that it was removed.

    Raises:
        DataError: The record is none.
    """
    if not name:
        raise DataError("no_key", "", "the record has no key, which is the id of the endpoint")
    if record.value is None:
        return name, "", version_of(record), 1, "", "", ""
    read = read_endpoint(record.value)
    return name, read.account_id or "", version_of(record), 0, read.state, read.cause, record.value.decode()
