"""A message: what became of it, why, whose side it is on, and what to do next, from its events."""

from postloop.domain.message.answer import MAX_STEPS, report
from postloop.domain.message.model import (
    Blocked,
    Channel,
    MessageEvent,
    Report,
    State,
    Step,
    TimelineItem,
    Verdict,
)
from postloop.domain.message.verdict import judge

__all__ = [
    "MAX_STEPS",
    "Blocked",
    "Channel",
    "MessageEvent",
    "Report",
    "State",
    "Step",
    "TimelineItem",
    "Verdict",
    "judge",
    "report",
]
