"""Insert runs in ClickHouse: stored whole or not at all, found again, and healed from their own rows.

The scheme and what was tried against it: docs/decisions/0002-insert-runs.md. In short: the rows of a run are one
part of `events`, written in one insert under the run's own token. When an insert's fate is unknown, the rows say
it: none stored -> insert again under a new run id; stored -> send them once more under the same token, so that a
view that missed them gets them and one that has them drops them.
"""

from __future__ import annotations

import io
import math
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.dead_letter_store import insert_dead_letters
from postloop.adapters.errors import UnavailableError
from postloop.adapters.event_table import repeated
from postloop.adapters.row_inserts import RowInserts
from postloop.adapters.running_inserts import processes_table
from postloop.domain.errors import PostloopError

INSERT_COMMENT: Final = "postloop-recorder"
_RUN_ID = re.compile(r"\d{4}-\d\d-\d\d/[0-9a-f-]{36}")
_QUERY_ID = re.compile(r"[\w:.-]+")
# One block whatever its size: a run must become one part, and a healed run the same part.
_ONE_BLOCK: Final = {
    "max_insert_threads": 1,
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 10_000_000_000,
}
# Said on every insert, because servers of different years have different defaults.
_EXACT: Final = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "parallel_view_processing": 0,
    "input_format_parallel_parsing": 0,
    # What a feed inserts has one row per key already: merging it once more took a fifth of an insert's CPU.
    "optimize_on_insert": 0,
    # A view's query is prepared anew for every insert. The analyzer of before does that in three quarters of the time.
    "enable_analyzer": 0,
}


class LogPartition(NamedTuple):
    """One partition of one life of a topic: a topic made anew has another id, and its offsets start again."""

    topic: str
    topic_id: str
    partition: int


@dataclass(frozen=True)
class StoredRun:
    """What was stored last of a partition."""

    run_id: str
    last_offset: int
    stored_at: datetime


class RunChangedError(PostloopError):
    """Healing changed the number of stored rows: the engine's memory of tokens is not what it must be."""


class UnknownInsertError(PostloopError):
    """A run is stored in part, which one insert of one block cannot do."""


def new_run_id(day: date) -> str:
    """Return a fresh run id; it begins with the day of its records, the partition of `events` to look in."""
    return f"{day.isoformat()}/{uuid.uuid4()}"


def run_day(run_id: str) -> str:
    """Return the day (YYYY-MM-DD) in a run id."""
    if not _RUN_ID.fullmatch(run_id):
        raise UnknownInsertError(f"not a run id: {run_id!r}")
    return run_id[:10]


class RunStore(Protocol):
    """Where runs are stored. Every method blocks; errors are UnavailableError or RefusedError."""

    def insert(
        self, rows: pa.Table, *, run_id: str, time_limit_s: float, ends_at_s: float = math.inf
    ) -> None:
        """Store the rows as one run, or fail when it could not end before a moment of `time.monotonic`."""

    def row_count(self, run_id: str) -> int:
        """Return how many rows of a run are stored."""

    def heal(self, run_id: str, *, reason: str) -> int:
        """Give the views what they may have missed of a stored run; return its rows."""

    def last_stored(self, partitions: Iterable[LogPartition]) -> dict[LogPartition, StoredRun]:
        """Return the newest stored run of each partition that has one."""

    def runs_since(self, moment: datetime) -> int:
        """Return about how many runs were stored since a moment."""

    def check_later(self, run_id: str, *, reason: str) -> None:
        """Have the hours of a run compared with their rollups."""

    def stored_positions(
        self, partition: LogPartition, *, first: int, last: int
    ) -> dict[tuple[int, int], int]:
        """Return the stored (offset, index) in a range of offsets, with the hash of the event id."""

    def recent_ids(
        self, partitions: Sequence[tuple[str, int]], *, since: datetime, limit: int
    ) -> dict[tuple[str, int], npt.NDArray[np.uint64]]:
        """Return hashes of the event ids stored since a moment, by (topic, partition), the newest `limit` ones."""

    def wait_for_inserts(self, *, timeout_s: float) -> None:
        """Wait until every insert of a recorder that now runs has ended; end those that do not."""

    def keep_dead_letters(self, letters: Sequence[Mapping[str, Any]]) -> None:
        """Store dead letters; repeats replace each other."""


class ClickHouseRunStore:
    """RunStore on a ClickHouse server."""

    def __init__(self, client: Client, *, cluster: str = "") -> None:
        self._client = client
        known = {row[0] for row in self._query("SELECT name FROM system.settings").result_rows}
        self._exact = {name: value for name, value in _EXACT.items() if name in known}
        if cluster:
            self._exact |= {"insert_quorum": "auto", "insert_quorum_parallel": 0}
        self._processes = processes_table(cluster)
        self._on_cluster = f" ON CLUSTER '{cluster}'" if cluster else ""
        self._columns: list[str] = []
        self._letters = RowInserts(client, {"async_insert": 0})

    def insert(
        self, rows: pa.Table, *, run_id: str, time_limit_s: float, ends_at_s: float = math.inf
    ) -> None:
        """Store the rows as one run.

        Args:
            rows: Columns named as in `events`, without run_id.
            run_id: Its identity and token.
            time_limit_s: The server gives up after this long.
            ends_at_s: The moment of `time.monotonic` at which it must have ended. Looked at last of all before anything
                is sent: whoever was stopped on the way here must not insert when it wakes.

        Raises:
            UnavailableError: Not stored, or not known whether it was, or too late to begin.
            RefusedError: Not stored: the server does not take such rows.
        """
        body = _Binary(_arrow_stream(rows.append_column("run_id", repeated(run_id, len(rows)))))
        limit_s = max(1, int(time_limit_s))
        settings = {
            **self._exact,
            **_ONE_BLOCK,
            "insert_deduplication_token": run_id,
            "log_comment": f"{INSERT_COMMENT} {run_id}",
            "max_execution_time": limit_s,
        }
        names = ", ".join(f"`{name}`" for name in [*rows.column_names, "run_id"])
        if time.monotonic() + limit_s > ends_at_s:
            raise UnavailableError("insert into events: too late to begin, others may own the partitions")
        with translated("insert into events"):
            # As a command: the client's insert methods send a request again by themselves when the connection
            # breaks, and an insert whose fate is unknown must be looked into first.
            self._client.command(
                f"INSERT INTO events ({names}) FORMAT ArrowStream", data=body, settings=settings
            )

    def row_count(self, run_id: str) -> int:
        """Return how many rows of a run are stored."""
        sql = "SELECT count() FROM events WHERE toDate(record_at) = {day:Date} AND run_id = {run:String}"
        return int(self._query(sql, day=run_day(run_id), run=run_id).first_row[0])

    def heal(self, run_id: str, *, reason: str) -> int:
        """Give the views what they may have missed of a stored run; return its rows.

        Raises:
            RunChangedError: The raw table took the rows again.
        """
        before = self.row_count(run_id)
        columns = ", ".join(f"`{name}`" for name in self._event_columns())
        # One thread and this order: without them a large run came back in other blocks and was stored again.
        # The columns are the table's own.
        sql = (
            f"INSERT INTO events ({columns}) SELECT {columns} FROM events "  # noqa: S608
            "WHERE toDate(record_at) = {day:Date} AND run_id = {run:String} "
            "ORDER BY topic, `partition`, `offset`, `index`"
        )
        settings = {
            **self._exact,
            **_ONE_BLOCK,
            "max_threads": 1,
            "max_block_size": 10_000_000,
            "insert_deduplication_token": run_id,
            "log_comment": f"{INSERT_COMMENT} heal {run_id}",
        }
        with translated(f"heal of run {run_id}"):
            self._client.command(sql, parameters={"day": run_day(run_id), "run": run_id}, settings=settings)
        after = self.row_count(run_id)
        if after != before:
            raise RunChangedError(f"run {run_id} had {before} rows and has {after} after it was healed")
        self.check_later(run_id, reason=reason)
        return after

    def last_stored(self, partitions: Iterable[LogPartition]) -> dict[LogPartition, StoredRun]:
        """Return the newest stored run of each partition that has one."""
        by_log = {(p.topic_id, p.partition): p for p in partitions}
        # Exactly the shape of the projection `last_stored`: a few rows per part are read.
        sql = (
            "SELECT topic_id, `partition`, max(`offset`), argMax(run_id, `offset`), max(stored_at) FROM events "
            "WHERE topic_id IN {ids:Array(String)} GROUP BY topic_id, `partition`"
        )
        rows = self._query(sql, ids=sorted({topic_id for topic_id, _ in by_log})).result_rows
        return {
            by_log[topic_id, partition]: StoredRun(run_id, last, _aware(stored_at))
            for topic_id, partition, last, run_id, stored_at in rows
            if (topic_id, partition) in by_log
        }

    def runs_since(self, moment: datetime) -> int:
        """Return about how many runs were stored since a moment."""
        sql = (
            "SELECT uniq(run_id) FROM events "
            "WHERE stored_at >= {moment:DateTime64(3)} AND record_at >= {moment:DateTime64(3)} - INTERVAL 1 DAY"
        )
        return int(self._query(sql, moment=moment).first_row[0])

    def check_later(self, run_id: str, *, reason: str) -> None:
        """Have the hours of a run compared with their rollups."""
        sql = (
            "INSERT INTO reconcile_queue (hour, queued_at, done, reason) "
            "SELECT DISTINCT toStartOfHour(occurred_at), now64(3), 0, {reason:String} FROM events "
            "WHERE toDate(record_at) = {day:Date} AND run_id = {run:String}"
        )
        with translated("insert into reconcile_queue"):
            self._client.command(
                sql,
                parameters={"day": run_day(run_id), "run": run_id, "reason": reason},
                settings={"async_insert": 0},
            )

    def stored_positions(
        self, partition: LogPartition, *, first: int, last: int
    ) -> dict[tuple[int, int], int]:
        """Return the stored (offset, index) in a range of offsets, with the hash of the event id."""
        sql = (
            "SELECT `offset`, `index`, xxHash64(event_id) FROM events "
            "WHERE topic = {topic:String} AND topic_id = {id:String} AND `partition` = {partition:Int32} "
            "AND `offset` BETWEEN {first:Int64} AND {last:Int64}"
        )
        rows = self._query(
            sql,
            topic=partition.topic,
            id=partition.topic_id,
            partition=partition.partition,
            first=first,
            last=last,
        ).result_rows
        return {(offset, index): event_hash or 1 for offset, index, event_hash in rows}

    def recent_ids(
        self, partitions: Sequence[tuple[str, int]], *, since: datetime, limit: int
    ) -> dict[tuple[str, int], npt.NDArray[np.uint64]]:
        """Return hashes of the event ids stored since a moment, by (topic, partition), the newest `limit` ones."""
        if not partitions:
            return {}
        begin = self._newest_since(partitions, since=since, limit=limit)
        # A record is never stored on a day before its timestamp says; a producer's clock may be a day off.
        # No sort: of the ids of a day, sorting by time took most of the time.
        sql = (
            "SELECT toString(topic), `partition`, groupArray(hash) FROM ("
            "SELECT topic, `partition`, xxHash64(event_id) AS hash FROM events "
            "WHERE record_at >= {since:DateTime64(3)} - INTERVAL 1 DAY AND stored_at >= {since:DateTime64(3)} "
            "AND (topic, `partition`) IN {tps:Array(Tuple(String, Int32))} LIMIT {limit:UInt64}) "
            "GROUP BY topic, `partition`"
        )
        said = {"since": begin, "tps": [tuple(p) for p in partitions], "limit": limit}
        with translated("ClickHouse"):
            found = self._client.query_arrow(sql, parameters=said, use_strings=True)
        result = {}
        for batch in found.to_batches():
            topics, numbers, hashes = batch.columns
            for place, key in enumerate(zip(topics.to_pylist(), numbers.to_pylist(), strict=True)):
                ids = hashes[place].values.to_numpy().copy()
                ids[ids == 0] = 1
                result[key] = ids
        return result

    def _newest_since(
        self, partitions: Sequence[tuple[str, int]], *, since: datetime, limit: int
    ) -> datetime:
        """Return the second since which at most `limit` rows of these partitions were stored, or the last one.

        Rows of other partitions may be counted, where those of one topic are owned and those of another are not.
        """
        sql = (
            "SELECT if(countIf(total <= {limit:UInt64}) = 0, max(second), minIf(second, total <= {limit:UInt64})) "
            "FROM (SELECT second, sum(n) OVER (ORDER BY second DESC) AS total FROM ("
            "SELECT toDateTime(stored_at, 'UTC') AS second, count() AS n FROM events "
            "WHERE record_at >= {since:DateTime64(3)} - INTERVAL 1 DAY AND stored_at >= {since:DateTime64(3)} "
            "AND topic IN {topics:Array(String)} AND `partition` IN {numbers:Array(Int32)} GROUP BY second))"
        )
        topics, numbers = (sorted(set(part)) for part in zip(*partitions, strict=True))
        found = self._query(sql, since=since, topics=topics, numbers=numbers, limit=limit).first_row[0]
        return max(since, _aware(found))

    def wait_for_inserts(self, *, timeout_s: float) -> None:
        """Wait until every insert of a recorder that now runs has ended; end those that do not within the timeout.

        A former owner of a partition may have died while the server works on its last insert.
        """
        running = self._running_inserts()
        deadline = time.monotonic() + timeout_s
        while running and time.monotonic() < deadline:
            time.sleep(0.05)
            running &= self._running_inserts()
        if running:
            ids = ", ".join(f"'{query_id}'" for query_id in sorted(running))
            with translated("KILL QUERY"):
                self._client.command(f"KILL QUERY{self._on_cluster} WHERE query_id IN ({ids}) SYNC")

    def _running_inserts(self) -> set[str]:
        comment = "startsWith(Settings['log_comment'], {comment:String})"
        # The table is a constant, or names a cluster whose name the settings checked.
        sql = f"SELECT query_id FROM {self._processes} WHERE {comment}"  # noqa: S608
        return {
            row[0]
            for row in self._query(sql, comment=INSERT_COMMENT).result_rows
            if re.fullmatch(r"[\w:.-]+", row[0])
        }

    def keep_dead_letters(self, letters: Sequence[Mapping[str, Any]]) -> None:
        """Store dead letters; repeats replace each other."""
        if letters:
            with translated("insert into dead_letters"):
                insert_dead_letters(self._letters, letters)

    def _event_columns(self) -> list[str]:
        if not self._columns:
            sql = (
                "SELECT name FROM system.columns "
                "WHERE database = currentDatabase() AND table = 'events' ORDER BY position"
            )
            self._columns = [row[0] for row in self._query(sql).result_rows]
        return self._columns

    def _query(self, sql: str, **parameters: Any) -> Any:
        with translated("ClickHouse"):
            return self._client.query(sql, parameters=parameters)


class _Binary(bytes):
    """A body that is no text.

    The client decodes the body of a command to find out whether it is SQL that may be sent twice, which takes 3 µs
    a row. An insert never may.
    """

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return ""


def _arrow_stream(rows: pa.Table) -> bytes:
    """Return the table as one batch of an Arrow stream.

    One batch, because the engine numbers the blocks under a token as they come: a run that was sent in several was
    stored a second time when it was healed from its rows, which are one block (tried).
    """
    sink = io.BytesIO()  # gives its bytes away without a copy, which Arrow's own sink does not
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks(), max_chunksize=max(1, len(rows)))
    return sink.getvalue()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
