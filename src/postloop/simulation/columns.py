"""The counters of the truth: their names are those of the rollups, their values are counted here alone."""

from __future__ import annotations

from typing import Final

SEND: Final = 0
REJECTED: Final = 1
SUPPRESSED: Final = 2
DELIVERED: Final = 3
REPORTING_DELIVERED: Final = 4
HARD_BOUNCE: Final = 5
SOFT_BOUNCE: Final = 6
DEFERRAL: Final = 7
COMPLAINT: Final = 8
UNSUBSCRIBE: Final = 9
OPEN: Final = 10
REFUSAL: Final = 11

COUNT_COLUMNS: Final = (
    "send_count",
    "rejected_count",
    "suppressed_count",
    "delivered_count",
    "reporting_delivered_count",
    "hard_bounce_count",
    "soft_bounce_count",
    "deferral_count",
    "complaint_count",
    "unsubscribe_count",
    "open_count",
    "refusal_count",
)
"""Every counter of the domain and campaign cubes but the number of events itself."""
DELAYED_AFTER_MS: Final = 300_000
"""A delivery later than this after the sending is delayed."""
