"""The clock of the outside world. Rules never read it: they are handed a time."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return this instant as an aware UTC datetime."""
    return datetime.now(UTC)
