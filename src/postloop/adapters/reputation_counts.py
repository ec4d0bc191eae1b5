"""Rows of the three queries of `reputation_sql` become the evidence of one subject."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

from postloop.domain.reputation import Evidence, WindowCounts, WindowName
from postloop.domain.reputation.counts import COUNT_NAMES

_WIDTH: Final = len(COUNT_NAMES)
_NOTHING: Final = (0,) * _WIDTH
_NO_MINUTES: Final = _NOTHING * 2
_NO_HOURS: Final = (*_NO_MINUTES, 0)
_OUTCOMES: Final = tuple(
    _WIDTH + COUNT_NAMES.index(name) for name in ("delivered_count", "hard_bounce_count", "soft_bounce_count")
)
_NO_COUNTS: Final = WindowCounts()


class Counted(NamedTuple):
    """What the queries count of one subject, see `reputation_sql`; None: nothing."""

    by_hour: tuple[int, ...] | None
    by_minute: tuple[int, ...] | None
    recent: tuple[int, ...] | None


def outcomes_of(by_hour: tuple[int, ...]) -> int:
    """Return the outcomes of 30 days."""
    return sum(by_hour[place] for place in _OUTCOMES)


def evidence_of_counted(counted: Counted, representative_count: int) -> Evidence:
    """Return the evidence of what was counted. Windows that count the same are one object: those of most senders are.

    Raises:
        DataError: `out_of_range`, the counts cannot be.
    """
    by_hour, by_minute = counted.by_hour or _NO_HOURS, counted.by_minute or _NO_MINUTES
    parts: dict[WindowName, tuple[int, ...]] = {
        "1h": by_minute[:_WIDTH],
        "24h": by_minute[_WIDTH:],
        "7d": by_hour[:_WIDTH],
        "30d": by_hour[_WIDTH:-1],
    }
    made: dict[tuple[int, ...], WindowCounts] = {_NOTHING: _NO_COUNTS}
    windows: dict[WindowName, WindowCounts] = {}
    for window, part in parts.items():
        if part not in made:
            made[part] = WindowCounts(**dict(zip(COUNT_NAMES, part, strict=True)))
        windows[window] = made[part]
    windows["recent"] = windows["30d"]
    # Events may have come between the questions: a month that was large enough for the last one only has no rows there.
    if counted.recent is not None and windows["30d"].outcome_count >= representative_count:
        windows["recent"] = WindowCounts(**dict(zip(COUNT_NAMES, counted.recent, strict=True)))
    return Evidence(MappingProxyType(windows), peak_reporting_count=by_hour[-1])
