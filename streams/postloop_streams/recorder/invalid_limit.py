"""When nearly everything is invalid, the fault lies upstream: stop, and leave the records where they are."""

from __future__ import annotations


class InvalidLimit:
    """Watches the share of invalid records over windows of a number of records."""

    def __init__(self, *, max_ratio: float, window: int) -> None:
        self._max_ratio = max_ratio
        self._window = window
        self._records = 0
        self._invalid = 0

    def exceeded_by(self, *, records: int, invalid: int) -> str | None:
        """Count records; return the reason to stop once a window was nearly all invalid, else None."""
        self._records += records
        self._invalid += invalid
        if self._records < self._window:
            return None
        seen, bad = self._records, self._invalid
        self._records = self._invalid = 0
        if bad / seen <= self._max_ratio:
            return None
        return (
            f"{bad} of the last {seen} records are invalid (limit {self._max_ratio:.0%}): a producer upstream is "
            "broken. Nothing more is read; `postloop deadletter list` shows why records were refused. "
            "Fix the producer, or raise POSTLOOP_INVALID_MAX_RATIO to let them become dead letters, then start again"
        )
