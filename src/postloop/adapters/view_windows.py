"""The windows that every windowed view has one row for, as SQL conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NOW: Final = "now64(3, 'UTC')"
"""The moment at which a view without a twin's argument looks."""


@dataclass(frozen=True)
class Window:
    """A window of views: buckets `b` with `as_of - window <= b < as_of`, where `as_of` is rounded down."""

    name: str
    rollup: str
    floor: str
    day: str
    length: str

    def condition(self, as_of: str) -> str:
        """Return the condition on `bucket`, once more on its day or week: only that prunes by the sorting key."""
        begin, until = self.ends(as_of)
        return (
            f"bucket >= {begin} AND bucket < {until} "
            f"AND {self.day}(bucket) >= {self.day}({begin}) AND {self.day}(bucket) <= {self.day}({until})"
        )

    def occurred(self, as_of: str) -> str:
        """Return the condition on `occurred_at` of raw events, which says the same of their buckets."""
        begin, until = self.ends(as_of)
        return f"occurred_at >= {begin} AND occurred_at < {until}"

    def ends(self, as_of: str) -> tuple[str, str]:
        """Return the first instant in the window and the first one behind it, as SQL."""
        until = f"toDateTime({self.floor}({as_of}, 'UTC'), 'UTC')"
        return f"{until} - {self.length}", until


WINDOWS: Final = (
    Window("1h", "rollup_minute", "toStartOfMinute", "toDate", "toIntervalHour(1)"),
    Window("24h", "rollup_minute", "toStartOfMinute", "toDate", "toIntervalHour(24)"),
    Window("7d", "rollup_hour", "toStartOfHour", "toMonday", "toIntervalDay(7)"),
    Window("30d", "rollup_hour", "toStartOfHour", "toMonday", "toIntervalDay(30)"),
)


def window_of(name: str) -> Window:
    """Return the window of this name.

    Raises:
        KeyError: There is none.
    """
    return {window.name: window for window in WINDOWS}[name]
