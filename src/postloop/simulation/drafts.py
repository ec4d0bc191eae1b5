"""A copy of a message and the events that its life will consist of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from postloop.domain.event_types import EventType
from postloop.simulation.world import Stream


class Draft(NamedTuple):
    """One event to be, before it has an id.

    `counts` are the counters it raises, `tail` its own fields as JSON text that begins with a comma.
    `latency_ms` is -1 where no delivery time is known; `is_human` tells opens apart; `reason` is a bounce's.
    """

    kind: EventType
    at_ms: int
    counts: tuple[int, ...]
    tail: str = ""
    latency_ms: int = -1
    is_human: bool = False
    reason: str = ""


@dataclass(slots=True)
class Message:
    """One copy of a message: to one recipient.

    Attributes:
        serial: Unique per copy; what unique opens are counted by.
        not_before_ms: Events before this moment are not part of the simulation.
        shift_ms: How much earlier everything happened than it is written (late events).
    """

    serial: int
    message_id: str
    stream: Stream
    mailbox: int
    campaign: int
    reader: int
    recipient: str
    is_malformed: bool
    sent_ms: int
    not_before_ms: int = 0
    shift_ms: int = 0
    drafts: list[Draft] = field(default_factory=list)
