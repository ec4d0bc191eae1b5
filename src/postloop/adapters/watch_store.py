"""What the watches know, as ClickHouse keeps it: a copy of their part of the changelog."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of, stored_settings, translated
from postloop.adapters.migrations import layout_of
from postloop.adapters.row_inserts import RowInserts
from postloop.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRow:
    """A row of `delivery_watches`.

    Attributes:
        owner_hash: Decides which partition owns it.
        version: The row with the highest one counts, a deleted one too.
    """

    key: str
    owner_hash: int
    version: int
    value: str
    is_deleted: bool = False


class WatchStore:
    """Writes what the watches know, and reads it back; a repeat changes nothing. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked, or it is not known whether it stored the rows.
        RefusedError: It refused.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        layout = layout_of(settings)
        self._table = layout.readable("delivery_watches")
        self._inserts = RowInserts(client, stored_settings(cluster=layout.cluster))

    def write(self, rows: Sequence[WatchRow]) -> None:
        """Return when the rows are stored."""
        if not rows:
            return
        with translated(self._where):
            self._inserts.insert(self._table, _NAMES, [astuple(row) for row in rows])

    def restore(self, partition: int, partitions: int) -> list[tuple[str, str]]:
        """Return (key, value) of everything that a partition owns."""
        query = (
            f"SELECT key, value FROM {self._table} FINAL "
            "WHERE owner_hash % {partitions:UInt64} = {partition:UInt64} ORDER BY key"
        )
        said = {"partition": partition, "partitions": partitions}
        return [(key, value) for key, value in rows_of(self._client, query, said, where=self._where)]


_NAMES: Final = tuple(field.name for field in fields(WatchRow))
