"""The evidence of a few subjects, added up from the rows of `parts_query`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import structlog

from postloop.domain.errors import DataError
from postloop.domain.reputation import Evidence, WindowCounts, WindowName
from postloop.domain.reputation.counts import COUNT_NAMES, total
from postloop.domain.reputation.windows import COMPLAINT_LAG_DAYS, representative

log = structlog.stdlib.get_logger("postloop.reputation")

_PARTS: Final[dict[WindowName, tuple[str, ...]]] = {
    "1h": ("1h",),
    "24h": ("1h", "24h"),
    "7d": ("7d",),
    "30d": ("7d", "30d"),
}
"""The parts that make a window: those of the minutes, or those of the hours."""


class _Part(NamedTuple):
    name: str
    day: date
    counts: WindowCounts


def evidence_by_subject(
    rows: Iterable[Sequence[Any]], *, dimension_count: int, as_of: datetime, representative_count: int
) -> Iterator[tuple[tuple[str, ...], Evidence]]:
    """Yield the dimensions of each subject with its evidence, sorted.

    Args:
        rows: Dimensions, name of the part, day, and the counts.
        dimension_count: How many dimensions there are.
        as_of: As it was asked for, a whole minute.
        representative_count: Outcomes that are representative.
    """
    found: defaultdict[tuple[str, ...], list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        found[tuple(row[:dimension_count])].append(row[dimension_count:])
    for names, parts in sorted(found.items()):
        try:
            yield names, _evidence(parts, as_of=as_of, representative_count=representative_count)
        except DataError as error:  # rollups that are being repaired: the next look sees them whole
            log.warning("evidence_unreadable", subject=names, reason=str(error))


def _evidence(rows: Iterable[Sequence[Any]], *, as_of: datetime, representative_count: int) -> Evidence:
    parts = [_Part(row[0], row[1], _counts(row[2:])) for row in rows]
    windows: dict[WindowName, WindowCounts] = {
        window: total(part.counts for part in parts if part.name in names) for window, names in _PARTS.items()
    }
    days: defaultdict[date, list[WindowCounts]] = defaultdict(list)
    for part in parts:
        if part.name in _PARTS["30d"]:
            days[part.day].append(part.counts)
    by_day = {day.toordinal(): total(counts) for day, counts in days.items()}
    windows["recent"] = representative(by_day, outcome_count=representative_count)
    last_day = (as_of.astimezone(UTC) - timedelta(seconds=1)).date().toordinal()
    reporting = (
        counts.reporting_delivered_count
        for day, counts in by_day.items()
        if day >= last_day - COMPLAINT_LAG_DAYS
    )
    return Evidence(MappingProxyType(windows), peak_reporting_count=max(reporting, default=0))


def _counts(values: Sequence[int]) -> WindowCounts:
    return WindowCounts(**{name: max(value, 0) for name, value in zip(COUNT_NAMES, values, strict=True)})
