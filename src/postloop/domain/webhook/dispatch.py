"""Who gets the next free slots: fair between endpoints, and first attempts before late ones.

Four rules keep a slow endpoint from harming another:

- An endpoint has at most a quarter as many attempts running as slots are free when it gets another (a dynamic
  threshold, as switches share their buffers, Choudhury and Hahne 1998). One that hangs takes a fifth of all slots.
- It begins with few slots and earns more by successes (`circuit.next_limit`), so that a hundred that hang from the
  first attempt on hold few.
- Slots go to the endpoint with the fewest attempts running.
- Some slots are never given to late attempts, so that yesterday's retries cannot starve today's events.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Lane = Literal["first", "late"]
LATE_FROM: Final = 3
"""The third attempt and those after it are late: 5 minutes and more have passed."""
# Of an endpoint's own slots every fifth goes to late attempts while both kinds are due.
_FIRST_PER_LATE: Final = 4
_FREE_PER_RUNNING: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Attempts that may run at the same time.

    Attributes:
        total_count: Of all endpoints.
        reserved_count: Of these, never for late attempts.
    """

    total_count: int = 500
    reserved_count: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What is due for one endpoint, and what runs.

    Attributes:
        first_due: First attempts (the first and the second) that are due.
        late_due: Later attempts that are due.
        limit: Attempts that may run at the same time: what it has earned (`circuit.next_limit`); 1 while its circuit
            is half open, 0 while it is open.
        allowance: Attempts that the rate limit lets begin now.
    """

    endpoint_id: str
    first_due: int
    late_due: int
    first_running: int
    late_running: int
    limit: int
    allowance: int

    @property
    def running(self) -> int:
        """Attempts of both kinds that run."""
        return self.first_running + self.late_running


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """So many attempts of an endpoint may begin now."""

    endpoint_id: str
    lane: Lane
    count: int


def lane_of(attempt: int) -> Lane:
    """Return the lane of a delivery whose next attempt has this number, counted from 1."""
    return "first" if attempt < LATE_FROM else "late"


def pick(queues: Iterable[Queue], slots: Slots) -> list[Grant]:
    """Return which attempts may begin, in the order in which they were granted.

    Every endpoint with something running must be among the queues: its attempts take slots.
    """
    distribution = _Round(list(queues), slots)
    while distribution.grant_one():
        pass
    return distribution.grants()


class _Round:
    """One distribution of the free slots."""

    def __init__(self, queues: list[Queue], slots: Slots) -> None:
        self._queues = queues
        self._free = slots.total_count - sum(queue.running for queue in queues)
        self._free_late = (
            slots.total_count - slots.reserved_count - sum(queue.late_running for queue in queues)
        )
        self._granted: list[list[int]] = [[0, 0] for _ in queues]
        self._order: dict[tuple[int, Lane], None] = {}
        # (running, place): the endpoint with the fewest attempts is on top.
        self._heap = [
            (queue.running, place)
            for place, queue in enumerate(queues)
            if queue.limit > queue.running and queue.allowance > 0 and queue.first_due + queue.late_due > 0
        ]
        heapq.heapify(self._heap)

    def grant_one(self) -> bool:
        """Give one slot, or find that none can be given (False)."""
        while self._heap:
            running, place = heapq.heappop(self._heap)
            if running * _FREE_PER_RUNNING >= self._free:
                return False  # all others run at least as many
            lane = self._lane(place)
            if lane is None:
                continue
            self._granted[place][0 if lane == "first" else 1] += 1
            self._order.setdefault((place, lane))
            self._free -= 1
            self._free_late -= int(lane == "late")
            queue = self._queues[place]
            if running + 1 < queue.limit and sum(self._granted[place]) < queue.allowance:
                heapq.heappush(self._heap, (running + 1, place))
            return True
        return False

    def grants(self) -> list[Grant]:
        """Return what was granted."""
        return [
            Grant(
                endpoint_id=self._queues[place].endpoint_id,
                lane=lane,
                count=self._granted[place][0 if lane == "first" else 1],
            )
            for place, lane in self._order
        ]

    def _lane(self, place: int) -> Lane | None:
        queue, (first, late) = self._queues[place], self._granted[place]
        has_first = queue.first_due > first
        has_late = queue.late_due > late and self._free_late > 0
        owes_late = (queue.late_running + late) * _FIRST_PER_LATE < queue.first_running + first
        if has_late and (owes_late or not has_first):
            return "late"
        return "first" if has_first else None
