"""Reads from ClickHouse what belongs to one simulation."""
# ruff: noqa: S608 - tables, columns and cubes are constants of this package; every value is bound

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.migration_render import Layout
from postloop.simulation.checks import Rows
from postloop.simulation.truth import Truth

# 'sim-' and eight hex digits, a dash, and the number of the event in eight more.
_REGULAR_ID: Final = "match(event_id, '^sim-[0-9a-f]{8}-[0-9a-f]{8}$')"
_EVENT_NUMBER: Final = "lower(hex(number))"


@dataclass(frozen=True, slots=True)
class RawEvents:
    """What the raw table holds of a run.

    Attributes:
        rows: All rows. distinct: different events (type and id) of the truth.
        missing: Numbers of the first events that are not there; missing_count: how many.
        unexpected: Rows that the truth does not know: invalid events that were taken.
        twice: Rows beyond the first at one place of the log: the same record was stored again.
        repeats: Rows beyond the first of one event at other places of the log: repeats that got through.
    """

    rows: int
    distinct: int
    missing_count: int
    missing: list[str]
    unexpected: int
    twice: int
    repeats: int
    by_type: dict[str, int]


class Observed:
    """One run as ClickHouse shows it."""

    def __init__(self, client: Client, truth: Truth, *, layout: Layout) -> None:
        self._client = client
        self._truth = truth
        self._table = layout.readable
        self._parameters = {
            "prefix": truth.event_id_prefix,
            "accounts": truth.accounts,
            "events": truth.events,
        }

    def progress(self) -> tuple[int, int, int]:
        """Return the numbers of distinct events, of rows and of dead letters that arrived so far."""
        events = self._rows(
            f"SELECT uniqExact(event_type, event_id), count() FROM {self._table('events')} "
            f"WHERE startsWith(event_id, {{prefix:String}}) AND {_REGULAR_ID}"
        )
        return int(events[0][0]), int(events[0][1]), sum(self.dead_letters().values())

    def raw_events(self) -> RawEvents:
        """Return what the raw table holds."""
        table = self._table("events")
        ours = "startsWith(event_id, {prefix:String})"
        totals = self._rows(
            f"SELECT count(), countIf(NOT {_REGULAR_ID}), "
            f"uniqExact(topic_id, `partition`, `offset`, `index`), uniqExact(event_type, event_id) "
            f"FROM {table} WHERE {ours}"
        )[0]
        rows, unexpected, places, ids = (int(number) for number in totals)
        expected_id = f"concat({{prefix:String}}, leftPad({_EVENT_NUMBER}, 8, '0'))"
        missing = self._rows(
            f"SELECT count(), groupArray(10)({expected_id}) FROM numbers({{events:UInt64}}) "
            f"WHERE {expected_id} NOT IN (SELECT event_id FROM {table} WHERE {ours})"
        )[0]
        by_type = self._rows(
            f"SELECT event_type, uniqExact(event_id) FROM {table} WHERE {ours} AND {_REGULAR_ID} GROUP BY event_type"
        )
        return RawEvents(
            rows=rows,
            distinct=sum(int(number) for _, number in by_type),
            missing_count=int(missing[0]),
            missing=list(missing[1]),
            unexpected=unexpected,
            twice=rows - places,
            repeats=places - ids,
            by_type={str(kind): int(number) for kind, number in by_type},
        )

    def dead_letters(self) -> dict[str, int]:
        """Return the dead letters of the run by type of event, each place of the log once.

        They are found by the key of their record, which begins with a text of the run (Base64 keeps 12 bytes
        at the start as 16 characters).
        """
        rows = self._rows(
            "SELECT topic, uniqExact(topic_id, `partition`, `offset`, `index`) "
            f"FROM {self._table('dead_letters')} "
            f"WHERE startsWith(key_base64, {{key:String}}) GROUP BY topic",
            key=base64.b64encode(self._truth.key_prefix.encode()).decode(),
        )
        return {str(topic).rpartition(".")[2]: int(number) for topic, number in rows}

    def pending_repairs(self) -> int:
        """Return how many hours wait for a comparison of their rollups with the raw events."""
        table = self._table("reconcile_queue")
        return int(self._rows(f"SELECT count() FROM {table} FINAL WHERE done = 0")[0][0])

    def rollup(
        self, table: str, cube: str, columns: Sequence[str], *, dimensions: Sequence[str], bucket_s: int
    ) -> Rows:
        """Return sums of a rollup's counters by bucket (0: over all time) and dimensions."""
        bucket = (
            f"toUnixTimestamp(intDiv(toUnixTimestamp(bucket), {bucket_s}) * {bucket_s})" if bucket_s else "0"
        )
        sums = ", ".join(f"sum({column})" for column in columns)
        # A bucket without any counter (only "not spam" reports) is no row of the truth, and sums to zero here.
        return self._keyed(
            f"SELECT {bucket} AS at, {', '.join(dimensions)}, {sums} FROM {self._table(table)} "
            f"WHERE cube = {{cube:String}} AND account_id IN {{accounts:Array(String)}} "
            f"GROUP BY at, {', '.join(dimensions)}",
            len(dimensions),
            cube=cube,
        )

    def unique_opens(self, table: str, cube: str, *, dimensions: Sequence[str], bucket_s: int) -> Rows:
        """Return the sketched unique opens (all, human) of a rollup."""
        bucket = (
            f"toUnixTimestamp(intDiv(toUnixTimestamp(bucket), {bucket_s}) * {bucket_s})" if bucket_s else "0"
        )
        return self._keyed(
            f"SELECT {bucket} AS at, {', '.join(dimensions)}, "
            "uniqCombined64Merge(opens), uniqCombined64Merge(human_opens) "
            f"FROM {self._table(table)} WHERE cube = {{cube:String}} AND account_id IN {{accounts:Array(String)}} "
            f"GROUP BY at, {', '.join(dimensions)}",
            len(dimensions),
            cube=cube,
        )

    def view(
        self, view: str, columns: Sequence[str], *, dimensions: Sequence[str], window: str, as_of_s: int
    ) -> Rows:
        """Return columns of a view's `_at` twin for one window that ends at an instant."""
        names = ", ".join([*dimensions, *columns])
        as_of = f"{datetime.fromtimestamp(as_of_s, UTC):%Y-%m-%d %H:%M:%S}"
        return self._keyed(
            f"SELECT 0, {names} FROM {view}_at(as_of = '{as_of}') "
            "WHERE `window` = {window:String} AND account_id IN {accounts:Array(String)}",
            len(dimensions),
            window=window,
        )

    def _keyed(self, sql: str, dimensions: int, **parameters: Any) -> Rows:
        return {
            (int(row[0]), tuple(map(_text, row[1 : 1 + dimensions]))): tuple(row[1 + dimensions :])
            for row in self._rows(sql, **parameters)
        }

    def _rows(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        with translated("ClickHouse"):
            result = self._client.query(sql, parameters={**self._parameters, **parameters})
        rows: Sequence[Sequence[Any]] = result.result_rows
        return rows


def _text(part: object) -> str:
    return str(part).lower() if isinstance(part, bool) else str(part)
