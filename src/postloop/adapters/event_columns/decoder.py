"""Values of records to columns and dead letters: by whole columns where that is sure, one by one where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postloop.adapters.event_columns import checking
from postloop.adapters.event_columns.deriving import derived_table
from postloop.adapters.event_columns.field_rules import field_rules
from postloop.adapters.event_columns.reading import ColumnReader, plain_places
from postloop.adapters.event_table import event_columns
from postloop.contracts.decode import DecodedBatch, Limits, RecordError, Window, decode_batch
from postloop.domain.event_types import EventType

Places = npt.NDArray[np.int64]
_SCHEMA_VERSION: Final = "schema_version"


@dataclass(frozen=True)
class DecodedColumns:
    """What became of the values of many records of one topic.

    Attributes:
        table: The events as columns of `events`, without their places in the log; in the order of the records.
        event_ids: Of each row.
        records: Of each row, which of the values it comes from.
        indexes: Of each row, its place in the array of the record; 0 for a single object.
        errors: Places in the values with what is wrong there.
    """

    table: pa.Table
    event_ids: list[str]
    records: Places
    indexes: Places
    errors: list[tuple[int, RecordError]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.event_ids)


class ColumnDecoder:
    """Decodes records of one event type. Not for two threads at once."""

    def __init__(self, event_type: EventType, limits: Limits) -> None:
        self._event_type = event_type
        self._limits = limits
        self._rules = [rule for rule in field_rules(event_type) if rule.kind != "time"]
        self._reader = ColumnReader(field_rules(event_type))

    def decode(self, values: Sequence[bytes | None], *, now: datetime) -> DecodedColumns:
        """Return the events and errors of the values, exactly those of `decode_batch`; never raises."""
        window = Window.around(now, self._limits)
        plain = plain_places(values, max_bytes=self._limits.max_record_bytes)
        texts = [value for place in plain if (value := values[place]) is not None]
        tables, places = [], []
        for first, end, fields in self._reader.read(texts, max_nesting=self._limits.max_nesting):
            checked = self._checked(fields, texts[first:end], window)
            if checked is not None:
                table, rows = checked
                tables.append(table)
                part = np.array(plain[first:end], dtype=np.int64)
                places.append(part if rows is None else part[rows])
        rest = np.ones(len(values), dtype=np.bool_)
        for part in places:
            rest[part] = False
        return self._with_rest(values, np.flatnonzero(rest), tables, places, now=now)

    def _checked(
        self, fields: pa.Table, texts: Sequence[bytes], window: Window
    ) -> tuple[pa.Table, checking.Mask | None] | None:
        """Return the columns of the rows that surely keep the contract, and which rows these are (None: all)."""
        checks = checking.Checks()
        checking.check_fields(fields, [r for r in self._rules if r.name in fields.column_names], checks)
        if _SCHEMA_VERSION in fields.column_names:
            _doubt_null_versions(fields.column(_SCHEMA_VERSION), texts, checks)
        try:
            occurred_at = checking.checked_times(checking.only_chunk(fields, "occurred_at"), checks)
            sent_at = checking.checked_times(checking.only_chunk(fields, "sent_at"), checks)
        except checking.UnreadableTimeError:
            return None
        checks.doubt_nulls(occurred_at)
        checking.check_window(occurred_at, window, checks)
        sure = checks.sure
        if sure is not None:
            if not sure.any():
                return None
            rows = pa.array(sure)
            fields, occurred_at, sent_at = fields.filter(rows), occurred_at.filter(rows), sent_at.filter(rows)
        return derived_table(self._event_type, fields, occurred_at, sent_at), sure

    def _with_rest(
        self,
        values: Sequence[bytes | None],
        rest: Places,
        tables: list[pa.Table],
        places: list[Places],
        *,
        now: datetime,
    ) -> DecodedColumns:
        """Decode the values at `rest` one by one, and put everything in the order of the records."""
        others = rest.tolist()
        decoded = DecodedBatch()
        if others:
            decoded = decode_batch(
                self._event_type, [values[place] for place in others], now=now, limits=self._limits
            )
        indexes = [np.zeros(len(part), dtype=np.int64) for part in places]
        if decoded.events or not tables:
            tables = [*tables, event_columns(self._event_type, decoded.events)]
            places = [*places, rest[decoded.records]]
            indexes.append(np.array(decoded.indexes, dtype=np.int64))
        table = pa.concat_tables(tables, promote_options="default")
        records, inner = np.concatenate(places), np.concatenate(indexes)
        if len(tables) > 1:
            order = np.argsort(records, kind="stable")
            table, records, inner = table.take(pa.array(order)), records[order], inner[order]
        return DecodedColumns(
            table=table,
            event_ids=table.column("event_id").to_pylist(),
            records=records,
            indexes=inner,
            errors=[(others[place], error) for place, error in decoded.errors],
        )


def _doubt_null_versions(column: pa.ChunkedArray, texts: Sequence[bytes], checks: checking.Checks) -> None:
    """Take out the rows whose version may be null, which is an error; absence, which is none, looks the same."""
    if column.null_count:
        absent = column.is_null().to_pylist()
        checks.doubt(
            np.array([null and _may_name_version(text) for null, text in zip(absent, texts, strict=True)])
        )


def _may_name_version(text: bytes) -> bool:
    return b"schema_version" in text or b"\\u00" in text  # a name may be written in escapes
