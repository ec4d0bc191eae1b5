"""What the time since sending says about one message."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

Stage = Literal["awaited", "overdue", "lost", "on_time", "delayed"]

ON_TIME_S: Final = 300
"""A final event up to so long after the sending is on time; later is delayed: natural in itself (greylisting, a full
queue, a retry), so counted and explained, and by itself no reason for an alert."""
LOST_AFTER_S: Final = 72 * 3_600
"""A message of which nothing final was heard for longer is lost: most senders give up retrying after that time."""


def stage_of(*, sent_at: datetime, final_at: datetime | None, now: datetime) -> Stage:
    """Return where a message to one recipient is.

    A final event (delivery, final bounce, rejected send) ends it as `on_time` or `delayed`, also when it comes after
    the message had been given up. Without one it is `awaited` up to 300 s, `overdue` up to 72 h, then `lost`. A
    final event before the sending (clocks that disagree) is on time; one later than `now` was not heard of yet.
    """
    if final_at is not None and final_at <= now:
        return "on_time" if (final_at - sent_at).total_seconds() <= ON_TIME_S else "delayed"
    age_s = (now - sent_at).total_seconds()
    if age_s > LOST_AFTER_S:
        return "lost"
    return "overdue" if age_s > ON_TIME_S else "awaited"
