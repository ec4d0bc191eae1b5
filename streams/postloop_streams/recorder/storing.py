"""Storing one run, whatever happens meanwhile: dead letters first, then the rows, exactly once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import structlog

from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import RecorderMetrics
from postloop.adapters.run_store import RunStore, UnknownInsertError, new_run_id
from postloop.contracts.deadletter import dead_letter_row
from postloop.domain.errors import PostloopError
from postloop_streams.dead_letters import PublishDeadLetters
from postloop_streams.recorder.deliveries import RecentDeliveries
from postloop_streams.recorder.partitions import Assignment
from postloop_streams.recorder.runs import Run
from postloop_streams.transport import Lease

log = structlog.stdlib.get_logger("postloop.recorder")

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
# An insert is only started when it can end this long before somebody else may own the partitions.
_LEASE_MARGIN_S: Final = 0.5
_SHORTEST_INSERT_S: Final = 1.0


class GaveUpError(PostloopError):
    """Storing failed for longer than the retry budget; the worker stops and nothing was lost."""


@dataclass(frozen=True)
class StoringLimits:
    """Seconds: of one insert, and of all attempts together."""

    insert_timeout_s: float
    retry_budget_s: float


class RunWriter:
    """Stores runs of one assignment, one after the other."""

    def __init__(
        self,
        store: RunStore,
        *,
        publish: PublishDeadLetters,
        deliveries: RecentDeliveries,
        lease: Lease,
        limits: StoringLimits,
        metrics: RecorderMetrics,
        health: HealthState,
    ) -> None:
        self._store = store
        self._publish = publish
        self._deliveries = deliveries
        self._lease = lease
        self._limits = limits
        self._metrics = metrics
        self._health = health

    async def write(self, run: Run, assignment: Assignment, *, check: bool) -> bool:
        """Store a run; True when it is stored, False when the assignment was closed before that was certain.

        Args:
            run: What to store.
            assignment: Whose partitions they are.
            check: Have the hours of the run compared with their rollups afterwards.

        Raises:
            GaveUpError: The retry budget is spent.
            RunChangedError, UnknownInsertError: The stored rows contradict the scheme; storing must not go on.
        """
        attempt = _Attempt(await asyncio.to_thread(self._table, run), new_run_id(run.day))
        started_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while not assignment.is_closed:
            try:
                await self._try(run, attempt, assignment, check=check)
            except (UnavailableError, RefusedError) as error:
                self._say_unavailable(error)
                if time.monotonic() - started_s > self._limits.retry_budget_s:
                    raise GaveUpError(
                        f"storing failed for {self._limits.retry_budget_s:.0f} s: {error}"
                    ) from error
                await assignment.pause(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                self._say_available(run)
                return attempt.is_stored
        return False

    def _table(self, run: Run) -> pa.Table | None:
        # Once for all attempts: whatever is sent again is the same block, however much was remembered meanwhile.
        table = run.table(stored_at=utc_now())
        return None if table is None else self._deliveries.judged(table)

    async def _try(self, run: Run, attempt: _Attempt, assignment: Assignment, *, check: bool) -> None:
        if run.dead_letters and not attempt.letters_kept:
            await self._publish([refused.letter for refused in run.dead_letters])
            rows = [
                dead_letter_row(refused.letter, topic_id=refused.topic_id) for refused in run.dead_letters
            ]
            await asyncio.to_thread(self._store.keep_dead_letters, rows)
            attempt.letters_kept = True
        if attempt.table is None:
            attempt.is_stored = True
            return
        if attempt.is_uncertain:
            await self._resolve(attempt, run)
        if not attempt.is_stored and await self._lease_allows(assignment):
            await self._insert(attempt)
        if attempt.is_stored and check:
            await asyncio.to_thread(self._store.check_later, attempt.run_id, reason="first run of an owner")

    async def _insert(self, attempt: _Attempt) -> None:
        # In this order: who is stopped between the two must not take its lease for longer than it is.
        started_s = time.monotonic()
        left_s = self._lease.left_s()
        time_limit_s = min(self._limits.insert_timeout_s, left_s - _LEASE_MARGIN_S)
        attempt.is_uncertain = True
        await asyncio.to_thread(
            self._store.insert,
            attempt.table,
            run_id=attempt.run_id,
            time_limit_s=time_limit_s,
            ends_at_s=started_s + left_s,
        )
        self._metrics.recorder_insert_seconds.observe(time.monotonic() - started_s)
        attempt.is_stored = True

    async def _resolve(self, attempt: _Attempt, run: Run) -> None:
        """Find out from the rows whether an insert whose answer never came was stored."""
        self._metrics.recorder_insert_retries_total.inc()
        await asyncio.to_thread(self._store.wait_for_inserts, timeout_s=self._limits.insert_timeout_s)
        stored = await asyncio.to_thread(self._store.row_count, attempt.run_id)
        if stored == 0:
            # A new name: the engine may remember the token of an insert whose rows a crash took away.
            attempt.run_id, attempt.is_uncertain = new_run_id(run.day), False
        elif stored == run.row_count:
            await asyncio.to_thread(self._store.heal, attempt.run_id, reason="insert in doubt")
            self._metrics.recorder_heals_total.inc()
            attempt.is_stored = True
        else:
            raise UnknownInsertError(f"run {attempt.run_id} has {stored} of {run.row_count} rows")

    async def _lease_allows(self, assignment: Assignment) -> bool:
        """Wait until an insert can end before another worker may own the partitions; False when closed first."""
        while self._lease.left_s() < _SHORTEST_INSERT_S + _LEASE_MARGIN_S and not assignment.is_closed:
            self._health.set("lease", False, "no heartbeat was answered lately")
            await assignment.pause(0.1)
        self._health.set("lease", True)
        return not assignment.is_closed

    def _say_unavailable(self, error: PostloopError) -> None:
        self._metrics.sink_unavailable.set(1)
        self._health.set("clickhouse", False, str(error))
        log.warning("sink_unavailable", reason=str(error))

    def _say_available(self, run: Run) -> None:
        self._metrics.sink_unavailable.set(0)
        self._metrics.recorder_run_rows.observe(run.row_count)
        self._health.set("clickhouse", True)
        self._health.beat()


@dataclass
class _Attempt:
    """How far the storing of one run got."""

    table: pa.Table | None
    run_id: str
    letters_kept: bool = False
    is_uncertain: bool = False
    is_stored: bool = False
