"""Repair the rollups from the raw events, hour by hour, and keep the list of hours that need it.

Differences are signed and only ever inserted, so nobody has to stop. The insert's token is made of the keys
and of both sides' counters: two repairs that saw the same difference count once. An insert is believed only
when a later round finds nothing; when it finds the same again (an earlier repair of an equal difference
holds the token, or the engine crashed between token and part), the token gets a new number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.rollup_compare import Difference, Judge, Judgement, read_store, stored_hours
from postloop.adapters.rollup_screen import screen_hours
from postloop.adapters.rollup_sql import Rollup

__all__ = [
    "RECLASSIFIED",
    "Difference",
    "QueuedHour",
    "RepairReport",
    "pending_hours",
    "queue_hours",
    "repair_hours",
    "stored_hours",
    "work_queue",
]

RECLASSIFIED: Final = "reclassified"
"""Reason of a note on an hour in which events changed their verdicts: their number tells nothing, so it is always
compared closely."""
_QUEUE_COLUMNS: Final = ("hour", "queued_at", "done", "reason")


@dataclass
class RepairReport:
    """What was compared, found and repaired. `busy_hours` kept moving: compare them again later."""

    hours: list[datetime] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    repaired_key_count: int = 0
    busy_hours: list[datetime] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def difference_count(self) -> int:
        """Rollup rows that were wrong."""
        return sum(found.key_count for found in self.differences)


@dataclass(frozen=True)
class QueuedHour:
    """One wish to have an hour compared."""

    hour: datetime
    queued_at: datetime
    reason: str


def repair_hours(
    client: Client,
    hours: Sequence[datetime],
    *,
    dry_run: bool = False,
    max_attempts: int = 6,
    wait_s: float = 60.0,
    on_hour: Callable[[datetime], None] = lambda _: None,
    now: datetime | None = None,
) -> RepairReport:
    """Compare the rollups of some hours of event time with the raw events and insert what differs.

    Hours whose raw events may already be forgotten are left out with a notice; so is a rollup that has
    forgotten the hour itself.

    Args:
        client: A connection to the database; on a cluster always to the same node.
        hours: Instants, rounded down to the hour.
        dry_run: Report and insert nothing.
        max_attempts: Rounds for an hour that keeps moving, or whose repair must be confirmed.
        wait_s: Longest wait for the inserts that run.
        on_hour: Called when an hour begins.
        now: The present; default: the clock.

    Raises:
        UnavailableError: ClickHouse cannot be reached, or an insert ran for longer than `wait_s`.
        RefusedError: ClickHouse refused a query.
    """
    report, store = RepairReport(), read_store(client)
    judge = Judge(client, store.layout, wait_s=wait_s)
    for hour in sorted({_floor(hour) for hour in hours}):
        rollups = store.comparable(hour, now=now or datetime.now(UTC))
        if not rollups:
            report.notices.append(
                f"{hour:%Y-%m-%d %H:00} UTC was left out: its raw events or rollups are no longer all kept"
            )
            continue
        on_hour(hour)
        _HourRepair(judge, hour, rollups, report).run(dry_run=dry_run, max_attempts=max_attempts)
        report.hours.append(hour)
    return report


def queue_hours(
    client: Client, hours: Iterable[datetime], reason: str, *, now: datetime | None = None
) -> None:
    """Note hours of event time for comparison; the same hour may be noted many times."""
    queued_at = now or datetime.now(UTC)
    _insert_queue(client, [(hour, queued_at, 0, reason) for hour in sorted({_floor(hour) for hour in hours})])


def pending_hours(client: Client) -> list[QueuedHour]:
    """Return what is noted and not done, by hour and time of the note."""
    query = (
        "SELECT toUnixTimestamp(hour) AS at, toUnixTimestamp64Milli(queued_at) AS since, "  # noqa: S608
        f"argMax(reason, done) FROM {read_store(client).layout.readable('reconcile_queue')} "
        "GROUP BY at, since HAVING max(done) = 0 ORDER BY at, since"
    )
    with translated("the reconcile queue cannot be read"):
        rows = client.query(query).result_rows
    return [QueuedHour(_instant(at * 1000), _instant(since), reason) for at, since, reason in rows]


def work_queue(client: Client, *, limit: int = 24, wait_s: float = 60.0, **options: Any) -> RepairReport:
    """Repair the oldest `limit` noted hours that do not agree at first sight; what did not come to rest stays noted.

    An hour that grows while it is looked at is left for later: to compare it closely would take several seconds of
    the database each time, while a backlog is stored, and end without an answer.

    Args:
        client: A connection to the database.
        limit: Hours of one call that are compared closely.
        wait_s: Longest wait for the inserts that run.
        options: For `repair_hours`.
    """
    noted = pending_hours(client)
    hours = sorted({note.hour for note in noted})
    if not hours:
        return RepairReport()
    seen = screen_hours(client, read_store(client).layout, hours, wait_s=wait_s)
    reclassified = {note.hour for note in noted if note.reason == RECLASSIFIED}
    agreed = seen.agreed - reclassified
    left = agreed | seen.moving
    closely = [hour for hour in hours if hour not in left][:limit]
    report = repair_hours(client, closely, wait_s=wait_s, **options)
    report.hours = sorted({*report.hours, *agreed})
    settled = agreed | (set(closely) - set(report.busy_hours))
    if not options.get("dry_run"):
        # Only the notes seen before the comparison: an hour noted meanwhile is compared again.
        done = [(note.hour, note.queued_at, 1, note.reason) for note in noted if note.hour in settled]
        _insert_queue(client, done)
    return report


@dataclass
class _HourRepair:
    """The rounds over one hour."""

    judge: Judge
    hour: datetime
    rollups: Sequence[Rollup]
    report: RepairReport
    seen: dict[bytes, int] = field(default_factory=dict)

    def run(self, *, dry_run: bool, max_attempts: int) -> None:
        """Judge and repair until a round finds nothing, at most `max_attempts` times."""
        for attempt in range(max_attempts):
            judgements = self.judge.judge(self.hour, self.rollups)
            last = attempt == max_attempts - 1
            busy = any(judgement.busy_count for judgement in judgements)
            if dry_run and (last or not busy):
                self._report(judgements)
            elif not dry_run:
                self._repair(judgements)
            if not busy and (dry_run or not any(len(judgement.moves) for judgement in judgements)):
                return
            if busy and not last:
                time.sleep(min(2.0, 0.1 * 2**attempt))
        self.report.busy_hours.append(self.hour)

    def _repair(self, judgements: Sequence[Judgement]) -> None:
        for judgement in judgements:
            if len(judgement.moves):
                number = self.seen.get(judgement.state, 0)
                if not number:
                    self._report([judgement])
                    self.report.repaired_key_count += len(judgement.moves)
                self.judge.repair(self.hour, judgement, attempt=number)
                self.seen[judgement.state] = number + 1

    def _report(self, judgements: Sequence[Judgement]) -> None:
        for judgement in judgements:
            self.report.differences += self.judge.summary(self.hour, judgement)


def _insert_queue(client: Client, rows: Sequence[tuple[datetime, datetime, int, str]]) -> None:
    if rows:
        with translated("insert into reconcile_queue"):
            client.insert("reconcile_queue", rows, column_names=_QUEUE_COLUMNS, settings={"async_insert": 0})


def _floor(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
