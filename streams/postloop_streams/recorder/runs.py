"""Cutting the log into insert runs: bookkeeping without a clock and without I/O.

A run is stored in one insert as one part. It may hold stretches of many partitions, for an insert costs the same
whether it has ten rows or a thousand; but the order of each partition is kept from run to run, runs are stored one
after the other, and all records of a run have timestamps of one day, because `events` is partitioned by that day.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa

from postloop.adapters.event_table import EventRows, event_table, joined
from postloop.adapters.run_store import LogPartition
from postloop.contracts.deadletter import DeadLetterV1
from postloop.domain.event_types import EventType

# Rows of one topic that are turned into columns together: fewer cost more each, more stay objects for longer.
COLUMNAR_ROWS: Final = 500
# Shares of the linger. Rows waited in the brokers for as long as that before they were fetched, so a run whose linger
# others have waited is cut at once; it takes in more for a moment, since the partitions of a fetch come one by one.
_BETWEEN_RUNS: Final = 0.9
_SETTLING: Final = 0.2


class Refused(NamedTuple):
    """A dead letter, and which life of its topic the record was in."""

    topic_id: str
    letter: DeadLetterV1


@dataclass(frozen=True, slots=True)
class ColumnRows:
    """Rows of one partition that are columns already, and the timestamp of the first record."""

    table: pa.Table
    first_ms: int

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class Stretch:
    """Consecutive records of one partition and one day, validated.

    `ack` says that everything up to the end of the delivered batch is stored; it is None while more of the batch
    follows. A stretch without rows (all repeats, or all dead letters) still carries its ack.
    """

    log: LogPartition
    day: date
    rows: EventRows | ColumnRows
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
    """Stretches that are stored together. Rows become columns early: as objects they take six times the memory."""

    day: date
    opened_at_s: float
    logs: set[LogPartition] = field(default_factory=set)
    acks: list[Callable[[], Any]] = field(default_factory=list)
    dead_letters: list[Refused] = field(default_factory=list)
    row_count: int = 0
    byte_count: int = 0
    oldest_ms: int | None = None
    _pending: dict[str, EventRows] = field(default_factory=dict)
    _tables: list[pa.Table] = field(default_factory=list)

    def add(self, stretch: Stretch) -> None:
        """Append a stretch."""
        self.logs.add(stretch.log)
        self.dead_letters += stretch.dead_letters
        self.byte_count += stretch.byte_count
        if stretch.ack is not None:
            self.acks.append(stretch.ack)
        if len(stretch):
            self._add_rows(stretch.rows)

    def _add_rows(self, rows: EventRows | ColumnRows) -> None:
        self.row_count += len(rows)
        first_ms = rows.first_ms if isinstance(rows, ColumnRows) else rows.timestamps_ms[0]
        self.oldest_ms = first_ms if self.oldest_ms is None else min(self.oldest_ms, first_ms)
        if isinstance(rows, ColumnRows):
            self._tables.append(rows.table)
            return
        pending = self._pending.setdefault(rows.topic, EventRows(rows.event_type, rows.topic, rows.topic_id))
        pending.extend(rows)
        if len(pending) >= COLUMNAR_ROWS:
            self._tables.append(event_table(self._pending.pop(rows.topic)))

    def table(self, *, stored_at: datetime) -> pa.Table | None:
        """Return all rows, in no order, and hold them no longer; None when there are none."""
        tables = self._tables + [event_table(rows) for rows in self._pending.values()]
        self._tables, self._pending = [], {}
        return joined(tables, stored_at=stored_at) if tables else None


class RunQueue:
    """Runs that are being filled (one per day) and runs that are full, in the order in which they must be stored."""

    def __init__(self, *, max_rows: int, max_bytes: int, linger_s: float) -> None:
        self._cut_at_s = -math.inf
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self.linger_s = linger_s
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
        """Return the next run to store: a full one, or one whose time has come; None when none is due."""
        if not self._sealed:
            oldest = self._oldest()
            if oldest is None or now_s < self._due_at_s(oldest):
                return None
            self._seal(oldest.day)
        run = self._sealed.popleft()
        self._cut_at_s = now_s
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
        oldest = self._oldest()
        return None if oldest is None else max(0.0, self._due_at_s(oldest) - now_s)

    def _oldest(self) -> Run | None:
        return min(self._open.values(), key=lambda run: run.opened_at_s, default=None)

    def _due_at_s(self, run: Run) -> float:
        """Return when a run has waited for the linger, or for its last part when nothing was cut for a linger."""
        settled_s = run.opened_at_s + self.linger_s * _SETTLING
        turn_s = self._cut_at_s + self.linger_s * _BETWEEN_RUNS
        return min(run.opened_at_s + self.linger_s, max(settled_s, turn_s))

    def seal_all(self) -> None:
        """Make every run due now."""
        for day in sorted(self._open, key=lambda day: self._open[day].opened_at_s):
            self._seal(day)

    def __bool__(self) -> bool:
        return bool(self._sealed or self._open)

    def _seal(self, day: date) -> None:
        run = self._open.pop(day)
        self._sealed.append(run)
        for log in run.logs:
            self._day_of.pop(log, None)
