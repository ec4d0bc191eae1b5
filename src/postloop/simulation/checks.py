"""Compares expected with observed numbers, row by row, and keeps the first differences for a person to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

MAX_SHOWN: Final = 10
EXACT_UP_TO: Final = 300
"""Up to this size the sketches of unique opens are exact: they keep the values themselves."""

Number = float | int | None
Row = tuple[Number, ...]
Key = tuple[int, tuple[str, ...]]
Rows = Mapping[Key, Row]
Agrees = Callable[[Number, Number], bool]


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one comparison: how many rows were looked at, how many differ, and the first of them."""

    name: str
    compared: int
    difference_count: int
    differences: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing differs."""
        return self.difference_count == 0


def exactly(expected: Number, observed: Number) -> bool:
    """Return whether two counts are equal; an absent one is 0."""
    return (expected or 0) == (observed or 0)


def within(share: float, *, exact_up_to: int = 0) -> Agrees:
    """Return a comparison that allows a relative error, none up to a size (sketches are exact there)."""

    def agrees(expected: Number, observed: Number) -> bool:
        if expected is None or observed is None:
            return expected == observed
        allowed = 0 if expected <= exact_up_to else share * abs(expected)
        return abs(observed - expected) <= allowed + 1e-9

    return agrees


def compare(
    name: str,
    *,
    columns: Sequence[str],
    expected: Rows,
    observed: Rows,
    agrees: Mapping[str, Agrees] | None = None,
) -> Check:
    """Return where two tables differ; a row that one side lacks counts as zeros.

    Args:
        agrees: How to compare a column; exactly where none is given.
    """
    rules = [(agrees or {}).get(column, exactly) for column in columns]
    nothing: Row = (0,) * len(columns)
    keys = expected.keys() | observed.keys()
    count = 0
    shown: list[str] = []
    for key in sorted(keys):
        left, right = expected.get(key, nothing), observed.get(key, nothing)
        if left == right:
            continue
        wrong = [
            f"{column} {_shown(b)} instead of {_shown(a)}"
            for column, rule, a, b in zip(columns, rules, left, right, strict=True)
            if not rule(a, b)
        ]
        if not wrong:
            continue
        count += 1
        if len(shown) < MAX_SHOWN:
            shown.append(f"{_place(key)}: {', '.join(wrong)}")
    return Check(name, len(keys), count, shown)


def expect(name: str, *, expected: Mapping[str, int], observed: Mapping[str, int], note: str = "") -> Check:
    """Return where named numbers differ."""
    names = list(dict.fromkeys([*expected, *observed]))
    wrong = [
        f"{what}: {observed.get(what, 0):,} instead of {expected.get(what, 0):,}"
        for what in names
        if expected.get(what, 0) != observed.get(what, 0)
    ]
    return Check(name, len(names), len(wrong), wrong[:MAX_SHOWN], note)


def _place(key: Key) -> str:
    bucket, group = key
    at = f"{datetime.fromtimestamp(bucket, UTC):%Y-%m-%d %H:%M} " if bucket else ""
    return at + " / ".join(part or "-" for part in group)


def _shown(number: Number) -> str:
    if number is None:
        return "none"
    return f"{number:,.4g}" if isinstance(number, float) and not number.is_integer() else f"{int(number):,}"
