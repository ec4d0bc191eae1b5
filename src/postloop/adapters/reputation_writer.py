"""Writing what was said of sender domains into ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import stored_settings, translated
from postloop.adapters.migrations import layout_of
from postloop.adapters.reputation_rows import CurrentRow, LogRow, row_names
from postloop.adapters.row_inserts import RowInserts
from postloop.settings import Settings

_CURRENT_NAMES: Final = row_names(CurrentRow, "ip_pool", "ip_pool_kind")
_POOL_NAMES: Final = row_names(CurrentRow, "mailbox_provider")
_LOG_NAMES: Final = row_names(LogRow, "ip_pool", "ip_pool_kind")
_POOL_LOG_NAMES: Final = row_names(LogRow, "mailbox_provider")


class ReputationWriter:
    """Writes what was said; a repeat changes nothing. Every method blocks until the rows are stored.

    Raises:
        UnavailableError: Not stored, or not known whether it was: write again.
        RefusedError: ClickHouse does not take the rows.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._layout = layout_of(settings)
        self._inserts = RowInserts(client, stored_settings(cluster=self._layout.cluster))

    def write(self, changes: Sequence[LogRow], rows: Sequence[CurrentRow]) -> None:
        """Store changes, and then what is known now."""
        over_pools = [change for change in changes if change.ip_pool]
        self._insert("reputation_log", _LOG_NAMES, [change for change in changes if not change.ip_pool])
        self._insert("reputation_pool_log", _POOL_LOG_NAMES, over_pools)
        self._insert("reputation_current", _CURRENT_NAMES, [row for row in rows if not row.ip_pool])
        self._insert("reputation_pools", _POOL_NAMES, [row for row in rows if row.ip_pool])

    def _insert(self, table: str, names: Sequence[str], rows: Sequence[Any]) -> None:
        if not rows:
            return
        values = attrgetter(*names)
        with translated(self._where):
            self._inserts.insert(self._layout.readable(table), names, [values(row) for row in rows])
