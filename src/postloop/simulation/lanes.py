"""Arrays: a part of the recipients have their events written in batches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import ClassVar, Final

from postloop.domain.event_types import EventType

_MAX_ELEMENTS: Final = 24
_SCATTER: Final = 2_654_435_761  # Knuth's multiplier spreads neighbouring numbers over 32 bits


class Lanes:
    """Events that wait for company.

    A recipient belongs to one lane for good, and a lane's arrays have one key: a repeat, too, reaches the
    partition of its original.
    """

    COUNT: ClassVar[int] = 8

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._bodies: dict[tuple[EventType, int], list[str]] = {}
        self._targets: dict[tuple[EventType, int], int] = {}

    def add(self, event_type: EventType, lane: int, body: str) -> tuple[str, int] | None:
        """Take in an event; return the text of an array and its length when that filled one."""
        place = (event_type, lane)
        bodies = self._bodies.setdefault(place, [])
        bodies.append(body)
        if len(bodies) < self._targets.setdefault(place, self._rng.randrange(1, _MAX_ELEMENTS)):
            return None
        del self._bodies[place], self._targets[place]
        return _array(bodies), len(bodies)

    def rest(self) -> Iterator[tuple[EventType, int, str, int]]:
        """Yield type, lane, text and length of the arrays that were not filled."""
        for (event_type, lane), bodies in self._bodies.items():
            yield event_type, lane, _array(bodies), len(bodies)
        self._bodies.clear()


def lane_of(reader: int, *, share: float) -> int:
    """Return the lane of a recipient, -1 for one whose events are written alone."""
    if (reader * _SCATTER & 0xFFFFFFFF) / 0x100000000 >= share:
        return -1
    return reader % Lanes.COUNT


def _array(bodies: list[str]) -> str:
    return "[" + ",".join(bodies) + "]"
