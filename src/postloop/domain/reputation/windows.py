"""Which mail is judged: windows that end now, and the last sends of those who send little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, get_args

from postloop.domain.reputation.counts import WindowCounts, total

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

WindowName = Literal["1h", "24h", "7d", "30d", "recent"]
WINDOW_NAMES: Final[tuple[WindowName, ...]] = get_args(WindowName)
WINDOW_MS: Final[Mapping[WindowName, int]] = MappingProxyType(
    {"1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
)
"""Windows of a fixed length; `recent` is as long as it must be for a representative volume."""

COMPLAINT_LAG_DAYS: Final = 3
"""People complain days after a delivery: the complaints of a day may be those of a larger day before."""

_NO_COUNTS: Final = WindowCounts()


@dataclass(frozen=True, slots=True)
class Bucket:
    """Counts of an hour or a day that begins at `start_ms` (since 1970)."""

    start_ms: int
    counts: WindowCounts


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on.

    Attributes:
        windows: Counts by window; one that is missing holds nothing.
        peak_reporting_count: Most deliveries to providers that report complaints on one UTC day, of today and
            `COMPLAINT_LAG_DAYS` before. A day's complaints are measured against this: the day after a newsletter
            has its complaints and hardly any mail.
    """

    windows: Mapping[WindowName, WindowCounts]
    peak_reporting_count: int = field(default=0, kw_only=True)

    def counts(self, window: WindowName) -> WindowCounts:
        """Return the counts of a window."""
        return self.windows.get(window, _NO_COUNTS)


def evidence_of(counts: WindowCounts) -> Evidence:
    """Return the evidence of a sender of whom nothing is known but one day."""
    return Evidence(
        MappingProxyType(dict.fromkeys(WINDOW_NAMES, counts)),
        peak_reporting_count=counts.reporting_delivered_count,
    )


def evidence_at(buckets: Iterable[Bucket], *, now_ms: int, representative_count: int) -> Evidence:
    """Return what the buckets before this moment say; order and splitting of the buckets do not matter.

    A bucket b is in a window when `now - window <= b < now`, with `now` as given: round it to the buckets first
    (down to the full hour, or the day).
    """
    known = [b for b in buckets if now_ms - WINDOW_MS["30d"] <= b.start_ms < now_ms]
    windows: dict[WindowName, WindowCounts] = {
        name: total(b.counts for b in known if b.start_ms >= now_ms - length_ms)
        for name, length_ms in WINDOW_MS.items()
    }
    days = _by_day(known)
    windows["recent"] = representative(days, outcome_count=representative_count)
    first_lag_day = (now_ms - 1) // DAY_MS - COMPLAINT_LAG_DAYS
    peak = max((c.reporting_delivered_count for day, c in days.items() if day >= first_lag_day), default=0)
    return Evidence(MappingProxyType(windows), peak_reporting_count=peak)


def representative(days: Mapping[int, WindowCounts], *, outcome_count: int) -> WindowCounts:
    """Return the newest whole days that have so many outcomes together, or all there are. Keys grow with time."""
    found: list[WindowCounts] = []
    outcomes = 0
    for day in sorted(days, reverse=True):
        if outcomes >= outcome_count:
            break
        found.append(days[day])
        outcomes += days[day].outcome_count
    return total(found)


def _by_day(buckets: Iterable[Bucket]) -> dict[int, WindowCounts]:
    days: defaultdict[int, list[WindowCounts]] = defaultdict(list)
    for bucket in buckets:
        days[bucket.start_ms // DAY_MS].append(bucket.counts)
    return {day: total(counts) for day, counts in days.items()}
