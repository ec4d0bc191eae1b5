"""Validated events as columns for ClickHouse: one Arrow table for the rows of an insert."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from postloop.contracts.rows import columns_of
from postloop.domain.event_types import EventType

_MOMENT: Final = pa.timestamp("ms", "UTC")
_TYPES: Final[dict[str, pa.DataType]] = {
    "occurred_at": _MOMENT,
    "sent_at": _MOMENT,
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


def event_table(rows: EventRows) -> pa.Table:
    """Return the rows as columns; those that the event type lacks are left out."""
    count = len(rows)
    names = ["topic", "topic_id", "partition", "offset", "index", "record_at", "event_type"]
    arrays = [
        repeated(rows.topic, count),
        repeated(rows.topic_id, count),
        pa.array(rows.partitions, pa.int32()),
        pa.array(rows.offsets, pa.int64()),
        pa.array(rows.indexes, pa.uint32()),
        pa.array(rows.timestamps_ms, pa.int64()).cast(_MOMENT),
        repeated(rows.event_type, count),
    ]
    for name, values in columns_of(rows.event_type, rows.events).items():
        names.append(name)
        arrays.append(pa.array(values, _TYPES.get(name, pa.string())))
    return pa.Table.from_arrays(arrays, names=names)


def joined(tables: Iterable[pa.Table], *, stored_at: datetime) -> pa.Table:
    """Return one table; a column that a part lacks is null there, which ClickHouse reads as its default."""
    table = pa.concat_tables(list(tables), promote_options="default")
    return table.append_column("stored_at", pa.repeat(pa.scalar(stored_at, _MOMENT), len(table)))


def repeated(text: str, count: int) -> pa.DictionaryArray:
    """Return a column of one text, which takes one byte a row."""
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int8()), count), pa.array([text], pa.string())
    )
