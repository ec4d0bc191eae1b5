"""Validated events as columns for ClickHouse: one Arrow table for the rows of an insert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from postloop.contracts.events import Event
from postloop.contracts.rows import columns_of
from postloop.domain.event_types import EventType

MOMENT: Final = pa.timestamp("ms", "UTC")
_TYPES: Final[dict[str, pa.DataType]] = {
    "occurred_at": MOMENT,
    "sent_at": MOMENT,
    "confidence": pa.float32(),
    "hard": pa.bool_(),
    "recipient_valid": pa.bool_(),
    "reports_complaints": pa.bool_(),
    "schema_version": pa.uint8(),
    "smtp_code": pa.uint16(),
    "attempt": pa.uint16(),
    "tags": pa.list_(pa.string()),
}


@dataclass
class EventRows:
    """Accepted events of one topic, with the place of each in the log. All lists have the same length."""

    event_type: EventType
    topic: str
    topic_id: str
    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.events)

    def extend(self, other: EventRows) -> None:
        """Append the rows of the same topic."""
        self.partitions += other.partitions
        self.offsets += other.offsets
        self.indexes += other.indexes
        self.timestamps_ms += other.timestamps_ms
        self.events += other.events


def column_type(name: str) -> pa.DataType:
    """Return the type of a column that comes from an event."""
    return _TYPES.get(name, pa.string())


def event_columns(event_type: EventType, events: Sequence[Event]) -> pa.Table:
    """Return what is stored of events, without their places in the log; columns the type lacks are left out."""
    columns = columns_of(event_type, events)
    arrays = [pa.array(values, column_type(name)) for name, values in columns.items()]
    return pa.Table.from_arrays(arrays, names=list(columns))


def event_table(rows: EventRows) -> pa.Table:
    """Return the rows as columns; those that the event type lacks are left out."""
    return with_places(
        event_columns(rows.event_type, rows.events),
        event_type=rows.event_type,
        topic=rows.topic,
        topic_id=rows.topic_id,
        partitions=pa.array(rows.partitions, pa.int32()),
        offsets=pa.array(rows.offsets, pa.int64()),
        indexes=pa.array(rows.indexes, pa.uint32()),
        timestamps_ms=pa.array(rows.timestamps_ms, pa.int64()),
    )


def with_places(
    table: pa.Table,
    *,
    event_type: EventType,
    topic: str,
    topic_id: str,
    partitions: pa.Array,
    offsets: pa.Array,
    indexes: pa.Array,
    timestamps_ms: pa.Array,
) -> pa.Table:
    """Return the columns of events with the place of each in the log."""
    count = len(table)
    places = {
        "topic": repeated(topic, count),
        "topic_id": repeated(topic_id, count),
        "partition": partitions,
        "offset": offsets,
        "index": indexes,
        "record_at": timestamps_ms.cast(MOMENT),
        "event_type": repeated(event_type, count),
    }
    return pa.Table.from_arrays([*places.values(), *table.columns], names=[*places, *table.column_names])


def joined(tables: Iterable[pa.Table], *, stored_at: datetime) -> pa.Table:
    """Return one table; a column that a part lacks is null there, which ClickHouse reads as its default."""
    table = pa.concat_tables(list(tables), promote_options="default")
    return table.append_column("stored_at", pa.repeat(pa.scalar(stored_at, MOMENT), len(table)))


def repeated(text: str, count: int) -> pa.DictionaryArray:
    """Return a column of one text, which takes one byte a row."""
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int8()), count), pa.array([text], pa.string())
    )
