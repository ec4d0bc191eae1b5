"""Rows that a run finds stored: a few real events, repeated over some days by SQL.

They look like those of a life of the topics that has ended, as after a restart of the embedded broker: the topics
and partitions are the run's own, so that the recorder loads their ids into its memory, but the topic ids are others,
so that no offset of theirs hides a record of the run. Their event and message ids begin with a letter that no
hexadecimal id has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from bench.stack import Store
from bench.workload import SPAN, Plan, Record, generate
from postloop.adapters.clickhouse import translated
from postloop.adapters.event_table import EventRows, event_table, joined
from postloop.contracts.decode import decode_batch
from postloop.domain.event_types import EventType, topic_name

TOPIC_ID: Final = "stored-before"
INSERT_ROWS: Final = 200_000
"""Rows of one insert; each feeds the views, and is a part or two."""
_SEED_COUNT: Final = 20_000
_SEEDS: Final = "bench_seeds"
_RUN_ROWS: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class History:
    """So many rows, evenly spread over the days before `end_at`, about the domains and partitions of a plan."""

    row_count: int
    end_at: datetime
    days: int = 3
    domain_count: int = 500
    partition_count: int = 4

    def rows_within(self, window: timedelta) -> int:
        """Return how many of the rows are not older than this at the end."""
        return int(self.row_count * min(1.0, window / timedelta(days=self.days)))


def fill(store: Store, history: History, *, on_rows: Callable[[int], None]) -> None:
    """Store the rows, told after each insert how many there are.

    Raises:
        PostloopError: ClickHouse refused an insert.
    """
    seeds = seed_rows(history)
    with translated("filling ClickHouse"):
        # In memory, and without the indexes and the projection of `events`.
        store.client.command(f"CREATE TABLE {_SEEDS} ENGINE = Memory AS SELECT * FROM events LIMIT 0")
        store.client.insert_arrow(_SEEDS, seeds)
        for first, count in inserts(history.row_count):
            sql = insert_sql(history, seeds, first=first, count=count)
            store.client.command(sql, settings={"max_execution_time": 0})
            on_rows(first + count)
        store.client.command(f"DROP TABLE {_SEEDS}")


def inserts(row_count: int) -> list[tuple[int, int]]:
    """Return the first number and the number of rows of each insert."""
    firsts = range(0, row_count, INSERT_ROWS)
    return [(first, min(INSERT_ROWS, row_count - first)) for first in firsts]


def seed_rows(history: History) -> pa.Table:
    """Return the events that are repeated, as the recorder would store them; their offset numbers them."""
    plan = Plan(
        event_count=_SEED_COUNT,
        start_at=history.end_at - SPAN,
        domain_count=history.domain_count,
        partition_count=history.partition_count,
        invalid_share=0.0,
    )
    by_type: defaultdict[EventType, list[tuple[int, Record]]] = defaultdict(list)
    for number, record in enumerate(generate(plan)):
        by_type[record.event_type].append((number, record))
    tables = [event_table(_rows(kind, some, history)) for kind, some in by_type.items()]
    return joined(tables, stored_at=history.end_at).combine_chunks()


def _rows(kind: EventType, records: list[tuple[int, Record]], history: History) -> EventRows:
    decoded = decode_batch(kind, [record.value for _, record in records], now=history.end_at)
    count = len(records)
    return EventRows(
        kind,
        topic_name(kind),
        TOPIC_ID,
        partitions=[record.partition for _, record in records],
        offsets=[number for number, _ in records],
        indexes=[0] * count,
        timestamps_ms=[int(history.end_at.timestamp() * 1000)] * count,
        events=decoded.events,
    )


def insert_sql(history: History, seeds: pa.Table, *, first: int, count: int) -> str:
    """Return the insert of the rows `first` to `first + count - 1` (from 0) of a history."""
    own = _own_columns(history, len(seeds))
    names = [*seeds.column_names, "run_id"]
    columns = ", ".join(f"`{name}`" for name in names)
    values = ", ".join(own.get(name, f"seed.`{name}`") for name in names)
    return (
        f"INSERT INTO events ({columns}) SELECT {values} "
        f"FROM (SELECT toInt64(number) AS n FROM numbers({first}, {count})) AS numbered "
        f"INNER JOIN {_SEEDS} AS seed ON seed.`offset` = numbered.n % {len(seeds)}"
    )


def _own_columns(history: History, seed_count: int) -> dict[str, str]:
    """Return what a row does not take from its seed; `n` is its number, from the oldest to the newest."""
    days_ms = history.days * 86_400_000
    start_ms = int(history.end_at.timestamp() * 1000) - days_ms
    at = f"fromUnixTimestamp64Milli({start_ms} + intDiv(n * {days_ms}, {history.row_count}), 'UTC')"
    return {
        "offset": "n",
        "record_at": at,
        "stored_at": at,
        "occurred_at": at,
        "sent_at": f"subtractMilliseconds({at}, dateDiff('millisecond', seed.sent_at, seed.occurred_at))",
        "event_id": _hex_id("'event', n"),
        # Events about one message stay about one message.
        "message_id": _hex_id(f"seed.message_id, intDiv(n, {seed_count})"),
        "run_id": (
            f"concat(toString(toDate({at})), '/00000000-0000-4000-8000-', "
            f"lower(right(hex(sipHash64('run', intDiv(n, {_RUN_ROWS}))), 12)))"
        ),
    }


def _hex_id(arguments: str) -> str:
    # As long as the ids of the workload: 24 characters.
    return f"concat('p', lower(hex(sipHash64({arguments}))), lower(left(hex(cityHash64({arguments})), 7)))"
