"""Give stored events the verdicts of the rules that run now, and put the rollups right.

Day by day of the Kafka record, which is a partition of `events`: read, judge in Python with the recorder's own
function, note what changes in `verdict_changes`, write it with one mutation over a lookup table in memory, and
repair the hours whose counts moved. The notes are emptied last: a run that was killed is finished by the next one,
which finds in them the hours that may be wrong (docs/decisions/0006-bounce-verdicts.md).
"""

# ruff: noqa: S608 - names and numbers in the queries are ours, nothing in them comes from events.
from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.errors import RefusedError
from postloop.adapters.rollup_compare import read_store
from postloop.adapters.rollup_repair import RECLASSIFIED, RepairReport, queue_hours, repair_hours
from postloop.adapters.rollup_sql import moment
from postloop.contracts.rows import DERIVED_FROM, derived_of
from postloop.contracts.verdicts import BounceColumns
from postloop.domain.bounce import RULES_VERSION
from postloop.domain.event_types import EventType

_PLACE: Final = ("topic_id", "`partition`", "`offset`", "`index`")
_VERDICTS: Final[dict[EventType, tuple[str, ...]]] = {
    "bounce": BounceColumns._fields,
    "send": ("outcome", "cause"),
}
_COLUMNS: Final = (*BounceColumns._fields, "cause")
# What the rollups count by; a change of the others moves no count.
_COUNTED: Final = frozenset({"outcome", "reason", "hard", "fault"})
_OUTDATED: Final[dict[EventType, str]] = {
    "bounce": f"event_type = 'bounce' AND rules_version != '{RULES_VERSION}'",
    "send": "event_type = 'send' AND outcome = 'rejected' AND cause = ''",
}
_ANY: Final[dict[EventType, str]] = {
    "bounce": "event_type = 'bounce'",
    "send": "event_type = 'send' AND outcome = 'rejected'",
}
_DEFAULTS: Final[dict[str, Any]] = {"hard": False, "confidence": 0.0}
# Rows of one mutation: about 200 bytes each in the server's memory. More of a day are written in several.
ROWS_PER_MUTATION: Final = 1_000_000
_LOOKUP: Final = "verdict_lookup"
_RUNNING: Final = (
    "database = currentDatabase() AND table = 'events' AND NOT is_done "
    f"AND position(command, '{_LOOKUP}') > 0"
)
_POLL_S: Final = 0.1


@dataclass(frozen=True)
class Scope:
    """Which events to judge: those that occurred in a range, or where no end is given those judged by other rules."""

    from_at: datetime | None = None
    to_at: datetime | None = None

    def condition(self, kind: EventType) -> str:
        """Return the condition on events of a type."""
        if self.from_at is None and self.to_at is None:
            return _OUTDATED[kind]
        bounds = [(">=", self.from_at), ("<", self.to_at)]
        said = (f"occurred_at {sign} {moment(at)}" for sign, at in bounds if at is not None)
        return " AND ".join([_ANY[kind], *said])


@dataclass
class Reclassified:
    """What came of it.

    Attributes:
        judged_count: Events that were looked at.
        changes: Events by type, old and new reason (of a send: cause), where the verdict itself changed.
        restamped_count: Events of which only the rule, its confidence or the version of the rules changed.
        repairs: The hours that were compared, and what was put right there.
    """

    judged_count: int = 0
    changes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    restamped_count: int = 0
    repairs: RepairReport = field(default_factory=RepairReport)

    @property
    def changed_count(self) -> int:
        """Events whose verdict changed."""
        return self.changes.total()


OnProgress = Callable[[str, int, int], None]


def reclassify(
    client: Client,
    scope: Scope,
    *,
    dry_run: bool = False,
    chunk_rows: int = 20_000,
    on_progress: OnProgress = lambda what, done, total: None,
) -> Reclassified:
    """Judge stored bounces and rejected sends again, write what changed, repair the rollups.

    Recorders may run meanwhile. Not for two at once: the second ends what the first has begun.

    Args:
        client: A connection to the database; on a cluster always to the same node.
        scope: Which events.
        dry_run: Judge and count, and change nothing.
        chunk_rows: Rows that are judged at a time.
        on_progress: Told what is done ("judge", "repair"), and how many of how many events or hours are behind.

    Raises:
        UnavailableError: ClickHouse cannot be reached. Run again.
        RefusedError: ClickHouse refused a statement.
    """
    run = _Run(client, scope, chunk_rows=chunk_rows, on_progress=on_progress)
    if not dry_run:
        run.finish_interrupted()
    days = run.days()
    total = sum(days.values())
    for day in days:
        run.judge_day(day, total=total, dry_run=dry_run)
        if not dry_run:
            run.write_day(day)
            run.settle()
    return run.result


class _Run:
    """One run over the days."""

    def __init__(self, client: Client, scope: Scope, *, chunk_rows: int, on_progress: OnProgress) -> None:
        self._client = client
        self._scope = scope
        self._chunk_rows = chunk_rows
        self._on_progress = on_progress
        self._layout = read_store(client).layout
        self._events = self._layout.readable("events")
        self.result = Reclassified()

    def finish_interrupted(self) -> None:
        """End what a killed run left: its mutation, and hours that it had not compared."""
        self._kill_mutation()
        self._drop_lookup()
        self.settle()

    def days(self) -> dict[date, int]:
        """Return the days of records that hold events to judge, with their number."""
        either = " OR ".join(f"({self._scope.condition(kind)})" for kind in _VERDICTS)
        query = f"SELECT toDate(record_at) AS day, count() FROM {self._events} WHERE {either} GROUP BY day ORDER BY day"
        return {day: int(count) for day, count in self._rows(query)}

    def judge_day(self, day: date, *, total: int, dry_run: bool) -> None:
        """Judge the events of a day and note what changes."""
        for kind in _VERDICTS:
            for block in self._blocks(kind, day):
                notes = self._judged(kind, day, block)
                if notes and not dry_run:
                    self._note(notes)
                self._on_progress("judge", self.result.judged_count, total)

    def write_day(self, day: date) -> None:
        """Write the noted verdicts of a day."""
        count = int(self._rows("SELECT count() FROM verdict_changes")[0][0])
        parts = math.ceil(count / ROWS_PER_MUTATION)
        if self._layout.cluster and count:
            self._command(f"SYSTEM SYNC REPLICA{self._layout.on_cluster} verdict_changes")
        for part in range(parts):
            noted = f"FROM verdict_changes WHERE cityHash64({', '.join(_PLACE)}) % {parts} = {part}"
            names = ", ".join((*_PLACE, *_COLUMNS))
            self._command(
                f"CREATE TABLE {_LOOKUP}{self._layout.on_cluster} "
                f"ENGINE = Join(ANY, LEFT, {', '.join(_PLACE)}) AS SELECT {names} {noted}"
            )
            self._mutate(day, noted)
            self._drop_lookup()

    def settle(self) -> None:
        """Compare the hours whose counts the notes moved, then forget the notes."""
        query = (
            "SELECT DISTINCT toUnixTimestamp(hour) AS at FROM verdict_changes WHERE is_counted ORDER BY at"
        )
        hours = [datetime.fromtimestamp(row[0], UTC) for row in self._rows(query)]
        self._repair(hours)
        self._command(f"TRUNCATE TABLE verdict_changes{self._layout.on_cluster}")

    def _repair(self, hours: Sequence[datetime]) -> None:
        place = {hour: number for number, hour in enumerate(hours)}
        report = repair_hours(
            self._client, hours, on_hour=lambda hour: self._on_progress("repair", place[hour], len(hours))
        )
        # What kept moving is left to the recorder, or to `postloop reconcile`.
        queue_hours(self._client, report.busy_hours, RECLASSIFIED)
        done = self.result.repairs
        done.hours += report.hours
        done.differences += report.differences
        done.repaired_key_count += report.repaired_key_count
        done.busy_hours += report.busy_hours
        done.notices += report.notices

    def _judged(self, kind: EventType, day: date, block: Mapping[str, Sequence[Any]]) -> list[list[Any]]:
        """Count the events of a block, and return the notes on those whose verdict is another now."""
        count = len(block["topic_id"])
        new = derived_of(kind, [block[name] for name in DERIVED_FROM[kind]], count=count)
        if "confidence" in new:
            new["confidence"] = np.asarray(new["confidence"], np.float32).tolist()
        title = "reason" if kind == "bounce" else "cause"
        notes = []
        for row in range(count):
            differing = {name for name in _VERDICTS[kind] if block[name][row] != new[name][row]}
            if not differing:
                continue
            if differing & (_COUNTED | {"cause"}):
                self.result.changes[kind, block[title][row], new[title][row]] += 1
            else:
                self.result.restamped_count += 1
            values = [new[name][row] if name in new else _DEFAULTS.get(name, "") for name in _COLUMNS]
            places = [block[name.strip("`")][row] for name in _PLACE]
            notes.append([day, block["hour"][row], bool(differing & _COUNTED), *places, *values])
        self.result.judged_count += count
        return notes

    def _blocks(self, kind: EventType, day: date) -> Iterator[dict[str, Sequence[Any]]]:
        columns = list(dict.fromkeys((*DERIVED_FROM[kind], *_VERDICTS[kind])))
        query = (
            f"SELECT {', '.join(_PLACE)}, toStartOfHour(occurred_at) AS hour, {', '.join(columns)} "
            f"FROM {self._events} WHERE toDate(record_at) = '{day.isoformat()}' AND {self._scope.condition(kind)}"
        )
        settings = {"max_block_size": self._chunk_rows}
        with (
            translated("the bounces cannot be read"),
            self._client.query_column_block_stream(query, settings=settings) as stream,
        ):
            names = stream.source.column_names
            for block in stream:
                yield dict(zip(names, block, strict=True))

    def _note(self, notes: Sequence[Sequence[Any]]) -> None:
        names = ("day", "hour", "is_counted", *(name.strip("`") for name in _PLACE), *_COLUMNS)
        with translated("insert into verdict_changes"):
            self._client.insert("verdict_changes", notes, column_names=names, settings={"async_insert": 0})

    def _mutate(self, day: date, noted: str) -> None:
        """Write the verdicts of the lookup and wait until it is done, however long that takes."""
        database = self._rows("SELECT currentDatabase()")[0][0]
        place = ", ".join(_PLACE)
        updates = ", ".join(
            f"{name} = joinGet('{database}.{_LOOKUP}', '{name}', {place})" for name in _COLUMNS
        )
        self._command(
            f"ALTER TABLE events{self._layout.on_cluster} UPDATE {updates} IN PARTITION '{day.isoformat()}' "
            f"WHERE ({place}) IN (SELECT {place} {noted})",
            mutations_sync=0,
            allow_nondeterministic_mutations=1,
        )
        cluster = self._layout.cluster
        mutations = f"clusterAllReplicas('{cluster}', system.mutations)" if cluster else "system.mutations"
        while running := self._rows(f"SELECT latest_fail_reason FROM {mutations} WHERE {_RUNNING}"):
            if reason := next((row[0] for row in running if row[0]), ""):
                self._kill_mutation()
                raise RefusedError(f"the verdicts of {day} cannot be written: {reason}")
            time.sleep(_POLL_S)

    def _kill_mutation(self) -> None:
        self._command(f"KILL MUTATION{self._layout.on_cluster} WHERE {_RUNNING} SYNC")

    def _drop_lookup(self) -> None:
        self._command(f"DROP TABLE IF EXISTS {_LOOKUP}{self._layout.on_cluster} SYNC")

    def _command(self, statement: str, **settings: int) -> None:
        with translated(f"ClickHouse refused `{statement[:80]}`"):
            self._client.command(statement, settings=settings or None)

    def _rows(self, query: str) -> Sequence[Any]:
        with translated("the verdicts cannot be read"):
            return list(self._client.query(query).result_rows)
