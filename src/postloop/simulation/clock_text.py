"""Times as producers write them: RFC 3339 with milliseconds, in UTC or with an offset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_MINUTE_MS: Final = 60_000
_MAX_CACHED: Final = 10_000
_SECONDS: Final = tuple(f"{second:02d}" for second in range(60))


class ClockText:
    """Writes times of one zone; minutes recur, so their text is kept."""

    def __init__(self, offset_minutes: int) -> None:
        sign, minutes = ("-", -offset_minutes) if offset_minutes < 0 else ("+", offset_minutes)
        self._zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" if offset_minutes else "Z"
        self._shift_ms = offset_minutes * _MINUTE_MS
        self._minutes: dict[int, str] = {}

    def text(self, at_ms: int) -> str:
        """Return a moment given in ms since 1970 as the text of this zone."""
        minute, rest_ms = divmod(at_ms + self._shift_ms, _MINUTE_MS)
        head = self._minutes.get(minute)
        if head is None:
            head = self._remember(minute)
        return f"{head}{_SECONDS[rest_ms // 1000]}.{rest_ms % 1000:03d}{self._zone}"

    def _remember(self, minute: int) -> str:
        if len(self._minutes) >= _MAX_CACHED:
            self._minutes.clear()
        head = datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")
        self._minutes[minute] = head
        return head


def utc_text(at_ms: int) -> str:
    """Return a moment given in ms since 1970 in UTC."""
    return ClockText(0).text(at_ms)
