"""The evidence of a few subjects, added up from the rows of `parts_query`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import add, itemgetter
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


_ARE_REFUSALS: Final = tuple(name.endswith("_refusal_count") for name in COUNT_NAMES)


class _Part(NamedTuple):
    name: str
    day: date
    counts: WindowCounts


_Place = tuple[str, date]
"""The name of a part, and its day."""


def evidence_by_subject(
    rows: Iterable[Sequence[Any]], *, dimension_count: int, as_of: datetime, representative_count: int
) -> Iterator[tuple[tuple[str, ...], Evidence | None]]:
    """Yield the dimensions of each subject with its evidence, sorted; None: its rollups are being repaired.

    Args:
        rows: Dimensions, cube, name of the part, day, and the counts.
        dimension_count: How many dimensions there are.
        as_of: As it was asked for, a whole minute.
        representative_count: Outcomes that are representative.
    """
    found: defaultdict[tuple[str, ...], dict[_Place, Sequence[int]]] = defaultdict(dict)
    for row in rows:
        cube, *place = row[dimension_count : dimension_count + 3]
        counts: Sequence[int] = row[dimension_count + 3 :]
        if cube == "bounce":
            counts = [
                count if is_refusal else 0 for count, is_refusal in zip(counts, _ARE_REFUSALS, strict=True)
            ]
        parts = found[tuple(row[:dimension_count])]
        known = parts.get(key := (place[0], place[1]))
        parts[key] = counts if known is None else [*map(add, known, counts)]
    for names, parts in sorted(found.items(), key=itemgetter(0)):
        try:
            yield names, _evidence(parts, as_of=as_of, representative_count=representative_count)
        except DataError as error:  # rollups that are being repaired: the next look sees them whole
            log.warning("evidence_unreadable", subject=names, reason=str(error))
            yield names, None


def _evidence(
    counted: Mapping[_Place, Sequence[int]], *, as_of: datetime, representative_count: int
) -> Evidence:
    parts = [_Part(*place, _counts(values)) for place, values in counted.items()]
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
