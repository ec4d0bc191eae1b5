"""Cutting the log into insert runs: pure bookkeeping, no clock, no I/O.

A run is stored in one insert as one part. It may hold stretches of many partitions, for an insert costs the same
whether it has ten rows or a thousand; but the order of each partition is kept from run to run, runs are stored one
after the other, and all records of a run have timestamps of one day, because `events` is partitioned by that day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from postloop.adapters.event_table import EventRows
from postloop.adapters.run_store import LogPartition
from postloop.contracts.deadletter import DeadLetterV1
from postloop.domain.event_types import EventType


class Refused(NamedTuple):
    """A dead letter, and which life of its topic the record was in."""

    topic_id: str
    letter: DeadLetterV1


@dataclass(frozen=True)
class Stretch:
    """Consecutive records of one partition and one day, validated.

    `ack` says that everything up to the end of the delivered batch is stored; it is None while more of the batch
    follows. A stretch without rows (all repeats, or all dead letters) still carries its ack.
    """

    log: LogPartition
    day: date
    rows: EventRows
    dead_letters: Sequence[Refused] = ()
    byte_count: int = 0
    ack: Callable[[], Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def empty(cls, log: LogPartition, event_type: EventType, day: date, *, ack: Callable[[], Any]) -> Stretch:
        """Return a stretch that stores nothing and acks what was delivered a second time."""
        return cls(log, day, EventRows(event_type, log.topic, log.topic_id), ack=ack)


@dataclass
class Run:
    """Stretches that are stored together."""

    day: date
    opened_at_s: float
    stretches: list[Stretch] = field(default_factory=list)
    row_count: int = 0
    byte_count: int = 0

    def add(self, stretch: Stretch) -> None:
        self.stretches.append(stretch)
        self.row_count += len(stretch)
        self.byte_count += stretch.byte_count

    def rows_by_topic(self) -> list[EventRows]:
        """Return the accepted events, one list per topic; each partition's in log order."""
        merged: dict[str, EventRows] = {}
        for part in (stretch.rows for stretch in self.stretches if len(stretch)):
            rows = merged.setdefault(part.topic, EventRows(part.event_type, part.topic, part.topic_id))
            rows.partitions += part.partitions
            rows.offsets += part.offsets
            rows.indexes += part.indexes
            rows.timestamps_ms += part.timestamps_ms
            rows.events += part.events
        return list(merged.values())

    @property
    def dead_letters(self) -> list[Refused]:
        """Every dead letter of the run, in log order per partition."""
        return [letter for stretch in self.stretches for letter in stretch.dead_letters]


class RunQueue:
    """Runs that are being filled (one per day) and runs that are full, in the order in which they must be stored."""

    def __init__(self, *, max_rows: int, max_bytes: int, linger_s: float) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._linger_s = linger_s
        self._open: dict[date, Run] = {}
        self._day_of: dict[LogPartition, date] = {}
        self._sealed: deque[Run] = deque()
        self.row_count = 0
        self.byte_count = 0

    def add(self, stretch: Stretch, *, now_s: float) -> None:
        """Append a stretch that follows everything added before of its partition."""
        earlier = self._day_of.get(stretch.log)
        if earlier is not None and earlier != stretch.day:
            # What the partition already has in another open run must be stored before this.
            self._seal(earlier)
        run = self._open.setdefault(stretch.day, Run(stretch.day, now_s))
        run.add(stretch)
        self._day_of[stretch.log] = stretch.day
        self.row_count += len(stretch)
        self.byte_count += stretch.byte_count
        if run.row_count >= self._max_rows or run.byte_count >= self._max_bytes:
            self._seal(stretch.day)

    def due(self, *, now_s: float) -> Run | None:
        """Return the next run to store: a full one, or one that waited for the linger; None when none is due."""
        if not self._sealed:
            oldest = min(self._open.values(), key=lambda run: run.opened_at_s, default=None)
            if oldest is None or now_s - oldest.opened_at_s < self._linger_s:
                return None
            self._seal(oldest.day)
        run = self._sealed.popleft()
        self.row_count -= run.row_count
        self.byte_count -= run.byte_count
        return run

    def day_of(self, log: LogPartition) -> date | None:
        """Return the day of the open run that holds rows of a partition, if any."""
        return self._day_of.get(log)

    def due_in_s(self, *, now_s: float) -> float | None:
        """Return the seconds until a run is due; None when there is nothing at all."""
        if self._sealed:
            return 0.0
        opened = [run.opened_at_s for run in self._open.values()]
        return max(0.0, min(opened) + self._linger_s - now_s) if opened else None

    def seal_all(self) -> None:
        """Make every run due now."""
        for day in sorted(self._open, key=lambda day: self._open[day].opened_at_s):
            self._seal(day)

    def __bool__(self) -> bool:
        return bool(self._sealed or self._open)

    def _seal(self, day: date) -> None:
        run = self._open.pop(day)
        self._sealed.append(run)
        for stretch in run.stretches:
            self._day_of.pop(stretch.log, None)
