"""From the fields of a table to the columns of `events`: defaults, limits, recipients and verdicts."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from postloop.adapters.event_columns.checking import MICROSECONDS, only_chunk
from postloop.adapters.event_columns.recipients import recipient_columns
from postloop.adapters.event_table import MOMENT, column_type
from postloop.contracts.decode import EARLIEST
from postloop.contracts.rows import (
    DERIVED_FROM,
    LONG_TEXTS,
    MAX_SENT_AHEAD,
    MAX_TEXT_CHARS,
    defaults_of_columns,
    derived_of,
)
from postloop.domain.event_types import EventType

_US_PER_S: Final = 1_000_000
_IDENTIFIERS: Final = ("event_id", "account_id", "message_id", "sender_domain")


def derived_table(
    event_type: EventType, fields: pa.Table, occurred_at: pa.Array, sent_at: pa.Array
) -> pa.Table:
    """Return the columns of valid events; the same as `event_columns` of the same events gives.

    A column whose every row is absent is left out, where ClickHouse has the same default as the contract.

    Args:
        event_type: Of all rows.
        fields: The fields as they were read, in one chunk.
        occurred_at: As moments in microseconds.
        sent_at: The same, null where it is absent.
    """
    count = len(fields)
    sent_at = _meant(sent_at, occurred_at)
    columns: dict[str, pa.Array] = {name: only_chunk(fields, name) for name in _IDENTIFIERS}
    columns["occurred_at"] = _milliseconds(occurred_at)
    columns |= recipient_columns(only_chunk(fields, "recipient"))
    columns["schema_version"] = pa.repeat(pa.scalar(1, pa.uint8()), count)
    if sent_at.null_count < count:
        columns["sent_at"] = _milliseconds(sent_at)
    for name, default in defaults_of_columns(event_type).items():
        column = _stored(only_chunk(fields, name), name, default)
        if column is not None:
            columns[name] = column
    columns |= _verdicts(event_type, columns, occurred_at, sent_at, count=count)
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _milliseconds(moments: pa.Array) -> pa.Array:
    """Cut, not round: every moment here is after 1970."""
    return moments.cast(MOMENT, safe=False)


def _meant(sent_at: pa.Array, occurred_at: pa.Array) -> pa.Array:
    """Return the sending times, null where one cannot be meant."""
    if sent_at.null_count == len(sent_at):
        return sent_at
    latest = pc.add(occurred_at, pa.scalar(MAX_SENT_AHEAD, pa.duration("us")))
    earliest = pa.scalar(EARLIEST, MICROSECONDS)
    is_meant = pc.and_(pc.greater_equal(sent_at, earliest), pc.less_equal(sent_at, latest))
    return sent_at if pc.all(is_meant.fill_null(True)).as_py() else pc.if_else(is_meant, sent_at, None)


def _stored(column: pa.Array, name: str, default: Any) -> pa.Array | None:
    """Return a field as it is stored; None when every row has ClickHouse's own default."""
    if column.null_count == len(column):
        return (
            pa.repeat(pa.scalar(default, pa.string()), len(column))
            if isinstance(default, str) and default
            else None
        )
    kind = column_type(name)
    if default and column.null_count:
        column = column.fill_null(default)
    if isinstance(default, str) and default:
        # An empty text means the same as none.
        return pc.if_else(pc.equal(column, ""), default, column) if _has_empty(column) else column
    if name in LONG_TEXTS and pc.max(pc.binary_length(column)).as_py() > MAX_TEXT_CHARS:
        return pc.utf8_slice_codeunits(column, 0, MAX_TEXT_CHARS)
    return column if column.type == kind else column.cast(kind)


def _has_empty(column: pa.Array) -> bool:
    return bool(pc.min(pc.binary_length(column)).as_py() == 0)


def _verdicts(
    event_type: EventType,
    columns: dict[str, pa.Array],
    occurred_at: pa.Array,
    sent_at: pa.Array,
    *,
    count: int,
) -> dict[str, pa.Array]:
    """Return the columns of `derived_of`. What is the same in every row is judged once."""
    defaults = defaults_of_columns(event_type)
    inputs: list[list[Any]] = []
    for name in DERIVED_FROM[event_type]:
        if name == "since_sent_s":
            inputs.append(_since_sent_s(occurred_at, sent_at))
        else:
            inputs.append(_values(columns.get(name), defaults.get(name, ""), count=count))
    if all(len(values) == 1 for values in inputs):
        once = derived_of(event_type, inputs, count=1)
        return {
            name: pa.repeat(pa.scalar(value, column_type(name)), count) for name, (value,) in once.items()
        }
    full = [values * count if len(values) == 1 else values for values in inputs]
    found = derived_of(event_type, full, count=count)
    return {name: pa.array(values, column_type(name)) for name, values in found.items()}


def _values(column: pa.Array | None, default: Any, *, count: int) -> list[Any]:
    """Return the values of a column, or its only value."""
    if column is None:
        return [default]
    if len(column.dictionary_encode().dictionary) == 1 and column.null_count == 0:
        return [column[0].as_py()]
    values: list[Any] = column.fill_null(default).to_pylist()
    return values if len(values) > 1 else values * count


def _since_sent_s(occurred_at: pa.Array, sent_at: pa.Array) -> list[float | None]:
    if sent_at.null_count == len(sent_at):
        return [None]
    microseconds = pc.subtract(occurred_at, sent_at).cast(pa.int64())
    seconds: list[float | None] = pc.divide(microseconds.cast(pa.float64()), float(_US_PER_S)).to_pylist()
    return seconds
