"""The journal's part in dead letters: those that a role publishes -> rows of ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import stored_settings, translated
from postloop.adapters.dead_letter_store import insert_dead_letters
from postloop.adapters.journal import Journal, Record, Refused
from postloop.adapters.migration_render import Layout
from postloop.adapters.row_inserts import RowInserts
from postloop.contracts.deadletter import TOPIC_ID_HEADER, DeadLetterV1, dead_letter_row
from postloop.domain.event_types import DEADLETTER_TOPIC, prefixed

log = structlog.stdlib.get_logger("postloop.journal")


class DeadLetterJournal:
    """A role's journal that stores the role's dead letters too, as its topic tells of them.

    Args:
        inner: Stores everything else.
        cluster: The name of the cluster, empty on one node. There the rows go through the table over all shards: the
            copies of a row must meet on one shard to replace each other.
    """

    def __init__(self, inner: Journal, client: Client, *, prefix: str, cluster: str = "") -> None:
        self._inner = inner
        self._topic = prefixed(DEADLETTER_TOPIC, prefix=prefix)
        self._table = Layout(cluster=cluster).readable("dead_letters")
        self._inserts = RowInserts(client, stored_settings(cluster=cluster))

    def write(self, records: Sequence[Record]) -> Sequence[Refused]:
        """Store records in the order in which they come, and return those that are none; a repeat changes nothing.

        Raises:
            UnavailableError, RefusedError: ClickHouse is away or refuses.
        """
        others = [record for record in records if record.topic != self._topic]
        rows = [row for record in records if record.topic == self._topic and (row := _row_of(record))]
        if rows:
            with translated("insert into dead_letters"):
                insert_dead_letters(self._inserts, rows, table=self._table)
        return self._inner.write(others) if others else ()


def _row_of(record: Record) -> dict[str, Any] | None:
    """Return the row of a dead letter; None for those that are stored already, and for what is none.

    What stands on this topic and cannot be read makes no dead letter of its own, which would stand here as well.
    """
    topic_id = dict(record.headers).get(TOPIC_ID_HEADER)
    if topic_id is None:
        return None
    try:
        letter = DeadLetterV1.model_validate_json(record.value or b"")
        return dead_letter_row(letter, topic_id=topic_id.decode())
    except (ValueError, IndexError):
        log.warning("dead_letter_unreadable", offset=record.offset)
        return None
