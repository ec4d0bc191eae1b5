"""Which rows of a table surely keep the contract. The others are decoded one by one, where the reasons are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from postloop.adapters.event_columns.field_rules import FieldRule
from postloop.contracts.decode import Window

Mask = npt.NDArray[np.bool_]

MICROSECONDS: Final = pa.timestamp("us", "UTC")
# The times that Arrow reads as the contract does, but for days that a month does not have, which Arrow refuses.
_PLAIN_TIME: Final = (
    r"^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
    r"(Z|[+-](0\d|1[0-4]):[0-5]\d)$"
)


class UnreadableTimeError(ValueError):
    """A time has the form of one and is none: the 30th of February."""


class Checks:
    """Collects the rows of one table that need a closer look."""

    def __init__(self) -> None:
        self._doubtful: Mask | None = None

    @property
    def sure(self) -> Mask | None:
        """The rows that keep every rule checked so far; None when all do."""
        return None if self._doubtful is None else ~self._doubtful

    def doubt(self, rows: Mask) -> None:
        """Take these rows out."""
        if rows.any():
            self._doubtful = rows.copy() if self._doubtful is None else self._doubtful | rows

    def doubt_nulls(self, column: pa.Array) -> None:
        """Take out the rows without a value."""
        if column.null_count:
            self.doubt(_mask(column.is_null()))


def only_chunk(table: pa.Table, name: str) -> pa.Array:
    """Return a column of a table that was read in one piece, without a copy."""
    return table.column(name).chunk(0)


def check_fields(table: pa.Table, rules: Sequence[FieldRule], checks: Checks) -> None:
    """Check everything but times."""
    for rule in rules:
        column = only_chunk(table, rule.name)
        if rule.is_required:
            checks.doubt_nulls(column)
        if column.null_count == len(column):
            continue
        if rule.kind == "text":
            _check_text(column, rule, checks)
        elif rule.kind == "integer":
            low, high = pc.less(column, rule.least or 0), pc.greater(column, rule.most)
            checks.doubt(_mask(pc.or_(low, high).fill_null(False)))
        elif rule.kind == "texts":
            _check_texts(column, rule, checks)


def _check_text(column: pa.Array, rule: FieldRule, checks: Checks) -> None:
    if rule.words:
        _check_words(column, rule.words, checks)
    if rule.least is None and rule.most is None:
        return
    # No text has more characters than bytes, so most columns need no count of characters.
    sizes = pc.min_max(pc.binary_length(column))
    if rule.least and sizes["min"].as_py() < rule.least:
        checks.doubt(_mask(pc.less(pc.utf8_length(column), rule.least).fill_null(False)))
    if rule.most is not None and sizes["max"].as_py() > rule.most:
        checks.doubt(_mask(pc.greater(pc.utf8_length(column), rule.most).fill_null(False)))


def _check_words(column: pa.Array, words: frozenset[str], checks: Checks) -> None:
    encoded = column.dictionary_encode()
    bad = [place for place, word in enumerate(encoded.dictionary.to_pylist()) if word not in words]
    if bad:
        checks.doubt(np.isin(encoded.indices.fill_null(-1).to_numpy(), bad))


def _check_texts(column: pa.Array, rule: FieldRule, checks: Checks) -> None:
    counts = column.value_lengths()
    if rule.most is not None and (pc.max(counts).as_py() or 0) > rule.most:
        checks.doubt(_mask(pc.greater(counts, rule.most).fill_null(False)))
    texts = column.flatten()
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if texts.null_count or (rule.most_each is not None and longest > rule.most_each):
        bad = pc.or_kleene(texts.is_null(), pc.greater(pc.utf8_length(texts), rule.most_each))
        rows = np.zeros(len(column), dtype=np.bool_)
        rows[pc.list_parent_indices(column).to_numpy()[_mask(bad.fill_null(True))]] = True
        checks.doubt(rows)


def checked_times(column: pa.Array, checks: Checks) -> pa.Array:
    """Return a column of RFC 3339 texts as moments, null where a row has none or is doubtful.

    Raises:
        UnreadableTimeError: A text looks like a time and names no moment.
    """
    plain = pc.match_substring_regex(column, _PLAIN_TIME)
    if not pc.all(plain.fill_null(True)).as_py():
        checks.doubt(~_mask(plain.fill_null(True)))
        column = pc.if_else(plain, column, None)
    try:
        return column.cast(MICROSECONDS)
    except pa.ArrowInvalid as error:
        raise UnreadableTimeError(str(error)) from error


def check_window(moments: pa.Array, window: Window, checks: Checks) -> None:
    """Take out events that happened too early or too late."""
    first, last = (pa.scalar(moment, MICROSECONDS) for moment in (window.first, window.last))
    outside = pc.or_(pc.less(moments, first), pc.greater(moments, last))
    checks.doubt(_mask(outside.fill_null(False)))


def _mask(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask
