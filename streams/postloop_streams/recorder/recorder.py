"""The recorder, apart from its transport: takes batches in, stores runs, and says when they are stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import RecorderMetrics
from postloop.adapters.run_store import RunStore
from postloop.contracts.decode import Limits
from postloop.domain.errors import PostloopError
from postloop.settings import Settings
from postloop_streams.assignments import assignment_of
from postloop_streams.dead_letters import PublishDeadLetters
from postloop_streams.recorder.deliveries import RecentDeliveries
from postloop_streams.recorder.intake import Chunk, Intake, Record, chunks_of
from postloop_streams.recorder.invalid_limit import InvalidLimit
from postloop_streams.recorder.opening import open_partitions
from postloop_streams.recorder.partitions import Assignment, PartitionState
from postloop_streams.recorder.runs import Run, RunQueue, Stretch
from postloop_streams.recorder.storing import RunWriter, StoringLimits
from postloop_streams.transport import Lease

log = structlog.stdlib.get_logger("postloop.recorder")

# Rows of one insert are bounded in bytes too, so that long diagnostics cannot make it huge.
RUN_MAX_BYTES: Final = 64 << 20
# Bytes held in memory at most, beside the limit in rows: records may be up to 1 MB.
BUFFER_MAX_BYTES: Final = 256 << 20
# How long a run may wait to become full while more than a run is known to wait at the broker.
CATCH_UP_LINGER_S: Final = 2.0
_OPENING_PAUSE_S: Final = 1.0
_IDLE_WAIT_S: Final = 1.0
# What a closed assignment waits for an insert that is under way, beyond the insert's own time limit.
_CLOSING_GRACE_S: Final = 1.0


@dataclass(frozen=True)
class Outside:
    """What the recorder needs of the world around it.

    Attributes:
        topic_ids: Names of topics -> their ids at the broker; blocks.
        generation: The generation of the consumer group that is in force now.
        publish: Publishes dead letters; returns when the broker acknowledged them.
        fail: Called once with the reason when the recorder must not go on.
    """

    store: RunStore
    topic_ids: Callable[[list[str]], Mapping[str, str]]
    generation: Callable[[], int]
    publish: PublishDeadLetters
    fail: Callable[[str], None]


class Recorder:
    """One worker's recorder. All methods are called in one event loop; blocking calls run in threads."""

    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        *,
        lease: Lease,
        metrics: RecorderMetrics,
        health: HealthState,
    ) -> None:
        self._settings = settings
        self._outside = outside
        self._linger_s = settings.linger.total_seconds()
        self._metrics = metrics
        self._health = health
        self._assignment: Assignment | None = None
        self._serving: asyncio.Task[None] | None = None
        self._assigned = asyncio.Condition()
        self._invalid = InvalidLimit(max_ratio=settings.invalid_max_ratio, window=settings.invalid_window)
        deliveries = RecentDeliveries()
        self._intake = Intake(
            limits=Limits(retention=settings.raw_retention),
            now=utc_now,
            stored_positions=self._stored_positions,
            deliveries=deliveries,
            metrics=metrics,
        )
        self._writer = RunWriter(
            outside.store,
            publish=outside.publish,
            deliveries=deliveries,
            lease=lease,
            limits=StoringLimits(
                insert_timeout_s=settings.insert_timeout.total_seconds(),
                retry_budget_s=settings.retry_budget.total_seconds(),
            ),
            metrics=metrics,
            health=health,
        )

    # -- called by the consumer group --------------------------------------------------------------------------

    async def assign(self, generation_id: int, committed: Mapping[tuple[str, int], int]) -> None:
        """Own these partitions from now on, each from its committed offset (0: none). Returns at once."""
        await self.revoke()
        queue = RunQueue(
            max_rows=self._settings.run_max_rows,
            max_bytes=RUN_MAX_BYTES,
            linger_s=self._linger_s,
        )
        async with self._assigned:
            self._assignment = Assignment(generation_id, committed, queue)
            self._assigned.notify_all()
        self._serving = asyncio.create_task(self._serve(self._assignment), name="recorder-serve")

    async def revoke(self) -> None:
        """Own nothing any more. Waits for an insert that is under way, but not longer than it may last."""
        if self._assignment is None or self._serving is None:
            return
        await self._assignment.close()
        limit_s = self._settings.insert_timeout.total_seconds() + _CLOSING_GRACE_S
        _, pending = await asyncio.wait({self._serving}, timeout=limit_s)
        if pending:
            log.warning("insert_abandoned", waited_s=limit_s)
        self._assignment = self._serving = None
        self._metrics.recorder_buffer_rows.set(0)

    async def drain(self, *, timeout_s: float) -> bool:
        """Store everything that was taken in; False when that did not end in time."""
        assignment = self._assignment
        if assignment is None:
            return True
        deadline_s = time.monotonic() + timeout_s
        assignment.queue.seal_all()
        await assignment.notify()
        while assignment.is_busy and not assignment.is_closed and time.monotonic() < deadline_s:
            await assignment.wait_changed(min(0.1, max(0.0, deadline_s - time.monotonic())))
        return not assignment.is_busy

    # -- called by the agent -----------------------------------------------------------------------------------

    async def take(
        self,
        generation_id: int,
        topic: str,
        partition: int,
        records: Sequence[Record],
        ack: Callable[[], Any],
        *,
        behind_count: int = 0,
    ) -> None:
        """Take in consecutive records of a partition; `ack` is called once all of them are stored.

        Waits while the buffer is full. Records of another generation are ignored: their owner reads them again.
        While `behind_count` records (of all partitions together) would fill more than a run, runs are not cut by
        time: each costs the database a fixed price, and rows that come late anyway need not hurry.
        """
        assignment = await self._assignment_of(generation_id)
        if assignment is None or not await assignment.wait_opened():
            return
        state = assignment.partitions[topic, partition]
        state.behind_count = behind_count
        behind = sum(known.behind_count for known in assignment.partitions.values())
        is_behind = behind > self._settings.run_max_rows
        assignment.queue.linger_s = max(self._linger_s, CATCH_UP_LINGER_S) if is_behind else self._linger_s
        expected = assignment.wanted[topic, partition] if state.next_offset is None else state.next_offset
        if expected < records[0].offset and expected > 0:
            # Retention, or a producer's transaction markers; anything else is a fault in fetching.
            log.warning(
                "offsets_skipped", topic=topic, partition=partition, first=expected, next=records[0].offset
            )
        news = [r for r in records if r.offset >= state.next_offset] if state.next_offset else records
        chunks = list(chunks_of(news, now=utc_now(), retention=self._settings.raw_retention))
        for number, chunk in enumerate(chunks, start=1):
            if not await self._room(assignment):
                return
            stretch = await self._take_chunk(assignment, state, chunk, ack if number == len(chunks) else None)
            if stretch is None or assignment.is_closed:
                return
            await self._enqueue(assignment, stretch)
        if not chunks:
            # All of it came before: it is stored when what is in the queue is.
            await self._enqueue(assignment, _nothing_new(assignment, state, ack))

    async def _assignment_of(self, generation_id: int) -> Assignment | None:
        return await assignment_of(
            generation_id,
            current=lambda: self._assignment,
            changed=self._assigned,
            in_force=self._outside.generation,
        )

    async def _take_chunk(
        self, assignment: Assignment, state: PartitionState, chunk: Chunk, ack: Callable[[], Any] | None
    ) -> Stretch | None:
        while not assignment.is_closed:
            try:
                stretch = await self._intake.take(state, chunk, ack=ack)
            except (UnavailableError, RefusedError) as error:
                log.warning("sink_unavailable", reason=str(error))
                await assignment.pause(_OPENING_PAUSE_S)
                continue
            bad = len({refused.letter.offset for refused in stretch.dead_letters})
            reason = self._invalid.exceeded_by(records=len(chunk.records), invalid=bad)
            if reason is not None:
                await assignment.close()
                self._outside.fail(reason)
                return None
            return stretch
        return None

    async def _enqueue(self, assignment: Assignment, stretch: Stretch) -> None:
        assignment.queue.add(stretch, now_s=time.monotonic())
        self._metrics.recorder_buffer_rows.set(assignment.queue.row_count)
        await assignment.notify()
        # Validation keeps the loop for milliseconds: let heartbeats and the insert's answer in.
        await asyncio.sleep(0)

    async def _room(self, assignment: Assignment) -> bool:
        queue = assignment.queue
        while not assignment.is_closed and (
            queue.row_count >= self._settings.buffer_max_rows or queue.byte_count >= BUFFER_MAX_BYTES
        ):
            await assignment.wait_changed(1.0)
        return not assignment.is_closed

    async def _stored_positions(
        self, state: PartitionState, first: int, last: int
    ) -> dict[tuple[int, int], int]:
        return await asyncio.to_thread(
            self._outside.store.stored_positions, state.log, first=first, last=last
        )

    # -- the storing loop --------------------------------------------------------------------------------------

    async def _serve(self, assignment: Assignment) -> None:
        try:
            if await self._open(assignment):
                await self._store_runs(assignment)
        except PostloopError as error:
            await self._stop(assignment, str(error))
        except Exception as error:  # a bug: nothing may be acked after it, so the process ends
            log.exception("recorder_failed")
            await self._stop(assignment, f"unexpected {type(error).__name__}: {error}")

    async def _stop(self, assignment: Assignment, reason: str) -> None:
        await assignment.close()
        self._outside.fail(reason)

    async def _open(self, assignment: Assignment) -> bool:
        self._health.set("partitions", False, "finding out what was stored")
        while not assignment.is_closed:
            try:
                partitions = await open_partitions(
                    assignment,
                    store=self._outside.store,
                    settings=self._settings,
                    topic_ids=self._outside.topic_ids,
                    on_heal=self._metrics.recorder_heals_total.inc,
                )
            except (UnavailableError, RefusedError) as error:
                self._health.set("partitions", False, str(error))
                log.warning("partitions_not_opened", reason=str(error))
                await assignment.pause(_OPENING_PAUSE_S)
            else:
                assignment.opened(partitions)
                self._metrics.dedup_ids.set(sum(len(p.seen) for p in partitions.values()))
                self._health.set("partitions", True)
                self._health.set("clickhouse", True)
                log.info("partitions_opened", count=len(partitions), generation=assignment.generation_id)
                return True
        return False

    async def _store_runs(self, assignment: Assignment) -> None:
        queue, is_first = assignment.queue, True
        while not assignment.is_closed:
            run = queue.due(now_s=time.monotonic())
            self._health.beat()
            if run is None:
                wait_s = queue.due_in_s(now_s=time.monotonic())
                await assignment.wait_changed(_IDLE_WAIT_S if wait_s is None else wait_s)
                continue
            assignment.is_storing = True
            try:
                if await self._writer.write(run, assignment, check=is_first and run.row_count > 0):
                    is_first = is_first and run.row_count == 0
                    await self._stored(run, assignment)
            finally:
                assignment.is_storing = False
                await assignment.notify()

    async def _stored(self, run: Run, assignment: Assignment) -> None:
        if assignment.is_closed:
            return
        for ack in run.acks:
            ack()
        if run.oldest_ms is not None:
            self._metrics.recorder_end_to_end_seconds.observe(max(0.0, time.time() - run.oldest_ms / 1000))
        self._metrics.recorder_buffer_rows.set(assignment.queue.row_count)
        self._metrics.dedup_ids.set(sum(len(p.seen) for p in assignment.partitions.values()))


def _nothing_new(assignment: Assignment, state: PartitionState, ack: Callable[[], Any]) -> Stretch:
    day = assignment.queue.day_of(state.log) or utc_now().date()
    return Stretch.empty(state.log, state.event_type, day, ack=ack)
