"""Compare one hour of the rollups with the raw events, beside running recorders.

A raw row becomes visible before its views are fed, so at any moment a rollup may rightly lack rows of
inserts that still run. Protocol of one round: A1 = counts from raw events; wait until every insert that now
runs has ended; V = counts of the rollup; A2 = counts from raw events again. Where A1 = A2, no row arrived
between, and every row in A1 had its insert ended before V: then V != A1 is a real difference. Where A1 !=
A2 the row is busy and judged in a later round.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.migration_render import Layout
from postloop.adapters.migrations import definitions
from postloop.adapters.rollup_sql import (
    COUNTERS,
    HOUR,
    ROLLUPS,
    Copies,
    Hashes,
    HourQueries,
    Rollup,
    hours_with_data,
    mixed,
    no_counters,
)
from postloop.adapters.running_inserts import wait_for_running_inserts

INSERT_COMMENT: Final = "postloop-reconcile"
_MOVES_PER_INSERT: Final = 200_000
_SPILL_BYTES: Final = 1024**3
_READ: Final = {
    "max_query_size": 64_000_000,
    "max_bytes_before_external_group_by": _SPILL_BYTES,
    "max_bytes_before_external_sort": _SPILL_BYTES,
}
# A round plans the query of the feeds four times and more: the analyzer of before takes two thirds to three quarters of
# the time for that (as on inserts, docs/decisions/0003).
_READ_FAST: Final = {**_READ, "enable_analyzer": 0}
# One block, whatever its size: the token is for a block.
_WRITE: Final = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert_select": "force_enable",
    "max_insert_threads": 1,
    "max_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 10_000_000_000,
}
_TTL = re.compile(r"TTL .*? \+ toIntervalSecond\((\d+)\)")
_CLUSTER = re.compile(r"Distributed\('([^']+)'")


@dataclass(frozen=True)
class Difference:
    """What one bucket of one cube of a rollup lacks (positive) or has too much (negative)."""

    table: str
    bucket: datetime
    cube: str
    key_count: int
    counters: dict[str, int]


@dataclass(frozen=True)
class _Side:
    """Rollup rows by key hash, sorted: counter hashes, and a number that changes when rows are added."""

    keys: Hashes
    counters: Hashes
    stamps: npt.NDArray[np.int64]

    def at(self, keys: Hashes, *, absent: int) -> Hashes:
        """Return the counter hashes of some keys."""
        place = np.minimum(np.searchsorted(self.keys, keys), max(len(self.keys) - 1, 0))
        found = self.keys[place] == keys if len(self.keys) else np.zeros(len(keys), bool)
        result = np.full(len(keys), absent, np.uint64)
        result[found] = self.counters[place[found]]
        return result


@dataclass(frozen=True)
class Judgement:
    """One round over one rollup: rows that differ for certain, and how many kept moving."""

    rollup: Rollup
    copies: Copies
    moves: list[int]
    state: bytes
    busy_count: int


@dataclass(frozen=True)
class Store:
    """What the database says of itself: how long it keeps each table, and where the tables live."""

    keeps: dict[str, timedelta]
    layout: Layout

    def comparable(self, hour: datetime, *, now: datetime) -> list[Rollup]:
        """Return the rollups of an hour that still have it, nothing when its raw events are not all there."""
        # An event may be stored up to a day before it occurred, and is forgotten by when it was stored.
        if not self._keeps("events", hour, now=now, margin=timedelta(hours=25)):
            return []
        return [rollup for rollup in ROLLUPS if self._keeps(rollup.table, hour, now=now, margin=HOUR)]

    def _keeps(self, table: str, hour: datetime, *, now: datetime, margin: timedelta) -> bool:
        return table not in self.keeps or hour >= now - self.keeps[table] + margin


def read_store(client: Client) -> Store:
    """Return what the database says of itself."""
    made = definitions(client, ("events", "events_all", *(rollup.table for rollup in ROLLUPS)))
    found = {table: _TTL.search(definition) for table, definition in made.items()}
    keeps = {table: timedelta(seconds=int(match[1])) for table, match in found.items() if match}
    cluster = _CLUSTER.search(made.get("events_all", ""))
    return Store(keeps, Layout(cluster[1] if cluster else ""))


def stored_hours(client: Client, *, from_at: datetime, to_at: datetime) -> list[datetime]:
    """Return the hours of event time in a range that hold raw events or rollup rows."""
    query = hours_with_data(read_store(client).layout, from_at=from_at, to_at=to_at)
    with translated("the hours with events cannot be read"):
        return [
            datetime.fromtimestamp(row[0], UTC) for row in client.query(query, settings=_READ).result_rows
        ]


class Judge:
    """Asks ClickHouse for both sides of an hour."""

    def __init__(self, client: Client, layout: Layout, *, wait_s: float) -> None:
        self._client = client
        self._layout = layout
        self._wait_s = wait_s
        self._read: dict[str, Any] = _READ
        known = {row[0] for row in self._rows("SELECT name FROM system.settings")}
        self._read = {name: value for name, value in _READ_FAST.items() if name in known}
        self._zero = int(self._rows(no_counters())[0][0])
        self._write = {name: value for name, value in _WRITE.items() if name in known}

    def judge(self, hour: datetime, rollups: Sequence[Rollup]) -> list[Judgement]:
        """Run one round of the protocol."""
        queries = HourQueries(hour, self._layout)
        row_count, copies = self._copies(queries)
        first = [self._side(queries.raw_hashes(rollup, copies)) for rollup in rollups]
        wait_for_running_inserts(self._client, self._layout, wait_s=self._wait_s)
        rolled = [self._side(queries.rollup_hashes(rollup)) for rollup in rollups]
        # Raw rows are only ever added: the same number of rows is the same rows, and A2 needs no counting. Verdicts
        # may change meanwhile (`reclassify`): `repair` counts again, and leaves out what is another difference.
        quiet = self._rows(queries.row_count())[0][0] == row_count
        second = first if quiet else [self._side(queries.raw_hashes(rollup, copies)) for rollup in rollups]
        return [
            self._compare(*sides, copies=copies) for sides in zip(rollups, first, rolled, second, strict=True)
        ]

    def summary(self, hour: datetime, judgement: Judgement) -> Iterator[Difference]:
        """Add up the differences of a round by bucket and cube."""
        for moves in _batches(judgement.moves):
            query = HourQueries(hour, self._layout).summary(judgement.rollup, judgement.copies, moves)
            for bucket, cube, key_count, *sums in self._rows(query):
                counters = {name: int(value) for name, value in zip(COUNTERS, sums, strict=True) if value}
                at = datetime.fromtimestamp(bucket, UTC)
                yield Difference(judgement.rollup.table, at, str(cube), int(key_count), counters)

    def repair(self, hour: datetime, judgement: Judgement, *, attempt: int) -> None:
        """Insert the differences of a round."""
        for number, moves in enumerate(_batches(judgement.moves)):
            query = HourQueries(hour, self._layout).repair(judgement.rollup, judgement.copies, moves)
            digest = hashlib.sha256(judgement.state + repr((hour, number, attempt)).encode()).hexdigest()
            settings = {
                **self._read,
                **self._write,
                "insert_deduplication_token": f"repair:{digest}",
                "log_comment": f"{INSERT_COMMENT} {judgement.rollup.table}",
            }
            with translated(f"repair of {judgement.rollup.table}"):
                self._client.command(query, settings=settings)

    def _copies(self, queries: HourQueries) -> tuple[int, Copies]:
        """Return the number of raw rows of the hour and how their repeats are to be found."""
        row_count, id_count, days = self._rows(queries.row_count())[0]
        around = sorted({day + timedelta(days=step) for day in map(_day, days) for step in (-1, 0, 1)})
        elsewhere = bool(around) and self._rows(queries.copies_elsewhere(around))[0][0] > 0
        repeated = elsewhere or id_count != row_count
        return int(row_count), Copies(repeated, tuple(around) if elsewhere else ())

    def _compare(
        self, rollup: Rollup, first: _Side, rolled: _Side, second: _Side, *, copies: Copies
    ) -> Judgement:
        keys = np.union1d(np.union1d(first.keys, rolled.keys), second.keys)
        before, after = (side.at(keys, absent=self._zero) for side in (first, second))
        present = rolled.at(keys, absent=self._zero)
        moved = before != after
        differs = (before != present) & ~moved
        moves = mixed(keys[differs], raw=before[differs], rolled=present[differs]).tolist()
        stamps = rolled.stamps[np.isin(rolled.keys, keys[differs])]
        state = rollup.table.encode() + repr(moves).encode() + stamps.tobytes()
        return Judgement(rollup, copies, moves, state, int(moved.sum()))

    def _side(self, query: str) -> _Side:
        with translated("the counts cannot be read"):
            table = self._client.query_arrow(f"{query} ORDER BY k", settings=self._read)
        keys, counters, stamps = (table.column(place).to_numpy() for place in range(3))
        return _Side(keys.astype(np.uint64), counters.astype(np.uint64), stamps.astype(np.int64))

    def _rows(self, query: str) -> Sequence[Any]:
        with translated("the counts cannot be read"):
            return list(self._client.query(query, settings=self._read).result_rows)


def _batches(moves: list[int]) -> Iterator[list[int]]:
    for number in range(math.ceil(len(moves) / _MOVES_PER_INSERT)):
        yield moves[number * _MOVES_PER_INSERT : (number + 1) * _MOVES_PER_INSERT]


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value
