"""The clock of the outside world. Rules never read it: they are handed a time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return this instant as an aware UTC datetime."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return this instant in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
