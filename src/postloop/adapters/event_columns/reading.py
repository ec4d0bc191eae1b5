"""JSON texts to columns by Arrow's reader, only where its answer is surely the contract's.

Arrow's reader is stricter than the contract in most things (a number where a text belongs, a repeated field and a
lone surrogate are errors) and more generous in some: NaN, deep nesting, bytes that are no UTF-8, and several
objects in a row. Those are kept away from it, or looked for afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.json as arrow_json

from postloop.adapters.event_columns.field_rules import FieldRule

# Fewer records are decoded sooner one by one: a table costs about a millisecond whatever its length.
FEWEST: Final = 64
_SCHEMA_VERSION: Final = "schema_version"
# What Arrow says of a field that is not in the schema.
_UNKNOWN_FIELD: Final = "unexpected field"
# Arrow takes NaN, Inf and Infinity for numbers. Inside a string this is a false alarm, which costs time only.
_may_be_no_number: Final = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf)").search
_LINE_BREAK: Final = ord("\n")
_OPEN: Final = ord("{")
_CLOSE: Final = ord("}")


class ColumnReader:
    """Reads the records of one event type.

    It remembers what its producers send beside the usual fields: at first nothing is expected, then a
    `schema_version`, then fields of their own, which are ignored as the contract says. Arrow checks the first two
    by itself; only the third must be looked at on the bytes.
    """

    def __init__(self, rules: Sequence[FieldRule]) -> None:
        full = pa.schema([(rule.name, rule.arrow_type) for rule in rules])
        usual = full.remove(full.get_field_index(_SCHEMA_VERSION))
        self._ways = [(usual, "error"), (full, "error"), (full, "ignore")]

    def read(self, values: Sequence[bytes], *, max_nesting: int) -> Iterator[tuple[int, int, pa.Table]]:
        """Yield (first, end, table) for stretches of the values; what is in none of them must be read otherwise.

        Every value must be an object and nothing else (`plain_places`). A stretch that holds a text that Arrow
        refuses is cut in halves until it is short. A table without a column `schema_version` comes from texts
        without this field.
        """
        pending = [(0, len(values))]
        while pending:
            first, end = pending.pop()
            if end - first < FEWEST:
                continue
            table = self._table(values[first:end], max_nesting=max_nesting)
            if table is not None:
                yield first, end, table
            elif end - first > 1:
                middle = (first + end) // 2
                pending += [(middle, end), (first, middle)]

    def _table(self, values: Sequence[bytes], *, max_nesting: int) -> pa.Table | None:
        text = b"\n".join(values)
        if not _is_utf8(text):
            return None
        while True:
            schema, unknown = self._ways[0]
            is_lenient = unknown == "ignore"
            if is_lenient and (
                _may_be_no_number(text) or any(_brackets(value) > max_nesting for value in values)
            ):
                return None
            try:
                table = _parsed(text, schema, unknown=unknown)
            except pa.ArrowInvalid as error:
                if is_lenient or _UNKNOWN_FIELD not in str(error):
                    return None
                del self._ways[0]
            else:
                # A value with two objects gives two rows.
                return table if len(table) == len(values) else None


def plain_places(values: Sequence[bytes | None], *, max_bytes: int) -> Sequence[int]:
    """Return the places of the values that may be one object and nothing else, so that many can stand in one text.

    Each begins with {, ends with } and has no line break. A line break put between two of them then stands outside
    of every object: none can begin in one value and end in another.
    """
    if None not in values and _are_plain(values, max_bytes=max_bytes):  # nearly always, and seen in one look
        return range(len(values))
    return [
        place
        for place, value in enumerate(values)
        if value
        and len(value) <= max_bytes
        and value[0] == _OPEN
        and value[-1] == _CLOSE
        and b"\n" not in value
    ]


def _are_plain(values: Sequence[bytes | None], *, max_bytes: int) -> bool:
    signs = np.frombuffer(b"\n".join([b"", *values, b""]), dtype=np.uint8)  # type: ignore[list-item]
    breaks = np.flatnonzero(signs == _LINE_BREAK)
    return (
        len(breaks) == len(values) + 1
        and bool((np.diff(breaks) - 1 <= max_bytes).all())
        and bool((signs[breaks[:-1] + 1] == _OPEN).all())
        and bool((signs[breaks[1:] - 1] == _CLOSE).all())
    )


def _parsed(text: bytes, schema: pa.Schema, *, unknown: str) -> pa.Table:
    return arrow_json.read_json(
        pa.BufferReader(text),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior=unknown
        ),
    ).combine_chunks()


def _brackets(value: bytes) -> int:
    return value.count(b"[") + value.count(b"{")


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
