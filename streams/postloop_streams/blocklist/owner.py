"""The partitions that a worker owns between two rebalances: opened, served, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from postloop.adapters import clock
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import BlocklistMetrics
from postloop.adapters.partition_store import PartitionStore
from postloop.contracts.blocklist import RecipientForm
from postloop.contracts.blocklist_state import AnySignal, signals_from_bytes
from postloop.domain.blocklist import Policy
from postloop.domain.errors import DataError
from postloop.domain.incident import DEFAULT_GUARD_POLICY, GuardPolicy
from postloop_streams.assignments import assignment_of
from postloop_streams.blocklist.folding import Folder
from postloop_streams.blocklist.holding import Holding
from postloop_streams.blocklist.opening import Opened
from postloop_streams.blocklist.partition import SIGNALS_AT_ONCE, OwnedPartition, Publish
from postloop_streams.blocklist.watching import ProviderWatch
from postloop_streams.blocklist.work import Work
from postloop_streams.patience import AbandonedError

log = structlog.stdlib.get_logger("postloop.blocklist")

# How late a lease may end, beside the time that publishing takes.
LEASES_EVERY_S: Final = 0.2
_OPENING_PAUSE_S: Final = 1.0
_CLOSING_S: Final = 4.0

Refuse = Callable[[Sequence[tuple[int, DataError]]], Awaitable[None]]
OpenStores = Callable[[Iterable[int]], Awaitable[dict[int, Opened]]]


@dataclass(frozen=True)
class Outside:
    """What owning needs of the world.

    Attributes:
        open_stores: Makes the stores of partitions, complete.
        generation: The generation of the consumer group that is in force now.
        fail: Called once with the reason when the role must not go on.
    """

    open_stores: OpenStores
    publish: Publish
    generation: Callable[[], int]
    fail: Callable[[str], None]


@dataclass
class _Assignment:
    generation_id: int
    numbers: frozenset[int]
    partitions: dict[int, OwnedPartition] = field(default_factory=dict)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False


class Owner:
    """One worker's partitions of the signals."""

    def __init__(
        self,
        outside: Outside,
        *,
        policy: Policy,
        guard: GuardPolicy | None,
        form: RecipientForm,
        metrics: BlocklistMetrics,
        health: HealthState,
    ) -> None:
        self._outside = outside
        self._policy = policy
        self._guard = guard
        self._form = form
        self._metrics = metrics
        self._health = health
        self._assignment: _Assignment | None = None
        self._serving: asyncio.Task[None] | None = None
        self._assigned = asyncio.Condition()
        self._due: set[int] = set()
        self._looked: set[int] = set()

    @property
    def has_due_leases(self) -> bool:
        """Whether leases were over when a partition was looked at last, or one was not looked at yet."""
        return bool(self._due)

    async def assign(self, generation_id: int, numbers: Collection[int]) -> None:
        """Own these partitions from now on. Returns at once."""
        await self.revoke()
        assignment = _Assignment(generation_id, frozenset(numbers))
        async with self._assigned:
            self._assignment = assignment
            self._assigned.notify_all()
        self._serving = asyncio.create_task(self._serve(assignment), name="blocklist-serve")

    async def revoke(self) -> None:
        """Own nothing any more; what is under way is finished or left to the next owner."""
        assignment, serving = self._assignment, self._serving
        self._assignment = self._serving = None
        self._due.clear()
        if assignment is None or serving is None:
            return
        assignment.is_closed = True
        assignment.is_open.set()
        serving.cancel()
        closing = [asyncio.create_task(p.close()) for p in assignment.partitions.values()]
        _, pending = await asyncio.wait({serving, *closing}, timeout=_CLOSING_S)
        if pending:
            log.warning("work_abandoned", waited_s=_CLOSING_S)

    async def take(
        self,
        generation_id: int,
        number: int,
        values: Sequence[bytes | None],
        ack: Callable[[], Any],
        *,
        refuse: Refuse,
    ) -> None:
        """Apply the signals of consecutive records of one partition; `ack` is called once they are kept.

        Args:
            refuse: Called with the places of values that are no signals, which were not written by us; returns when
                they are dead letters.
        """
        partition = await self._partition(generation_id, number)
        if partition is None:
            return
        signals, refused = _signals(values)
        try:
            if refused:
                await refuse(refused)
            for first in range(0, len(signals), SIGNALS_AT_ONCE):
                work = await partition.apply(signals[first : first + SIGNALS_AT_ONCE], now_ms=clock.now_ms())
                if work is None:
                    return
                self._count(work)
        except AbandonedError:
            return
        self._health.beat()
        ack()

    async def _partition(self, generation_id: int, number: int) -> OwnedPartition | None:
        """Return an open partition; None once another generation is in force."""
        assignment = await assignment_of(
            generation_id,
            current=lambda: self._assignment,
            changed=self._assigned,
            in_force=self._outside.generation,
        )
        if assignment is None:
            return None
        await assignment.is_open.wait()
        return None if assignment.is_closed else assignment.partitions.get(number)

    async def _serve(self, assignment: _Assignment) -> None:
        try:
            await self._open(assignment)
            # Each partition by itself: while one waits for the broker, others are worked off.
            self._due = set(assignment.partitions)
            loops = [self._end_leases(assignment, one) for one in assignment.partitions.values()]
            await asyncio.gather(self._beat(assignment), *loops)
        except AbandonedError:
            return
        except Exception as error:  # a fault: nothing may be acked after it, so the process ends
            log.exception("blocklist_failed")
            self._outside.fail(f"{type(error).__name__}: {error}")

    async def _open(self, assignment: _Assignment) -> None:
        self._health.set("partitions", False, "reading the state of the list")
        while not assignment.is_closed:
            try:
                opened = await self._outside.open_stores(sorted(assignment.numbers))
            except (UnavailableError, RefusedError) as error:
                self._health.set("partitions", False, str(error))
                self._health.beat()
                log.warning("partitions_not_opened", reason=str(error))
                await asyncio.sleep(_OPENING_PAUSE_S)
            else:
                self._opened(assignment, opened)
                return

    def _opened(self, assignment: _Assignment, opened: dict[int, Opened]) -> None:
        for number, one in opened.items():
            assignment.partitions[number] = self._partition_of(number, one.store)
        assignment.is_open.set()
        entries = sum(one.entries for one in opened.values())
        restored = sum(one.restored for one in opened.values())
        self._metrics.blocklist_entries.set(entries)
        self._metrics.blocklist_restored_entries.inc(restored)
        self._health.set("partitions", True)
        log.info(
            "partitions_opened",
            count=len(opened),
            entries=entries,
            restored=restored,
            generation=assignment.generation_id,
        )

    def _partition_of(self, number: int, store: PartitionStore) -> OwnedPartition:
        holding = Holding(store, policy=self._policy, is_on=self._guard is not None)
        watch = ProviderWatch(store, policy=self._guard or DEFAULT_GUARD_POLICY)
        folder = Folder(store, policy=self._policy, form=self._form, holding=holding, watch=watch)
        return OwnedPartition(
            number, store, folder, holding=holding, watch=watch, publish=self._outside.publish
        )

    async def _end_leases(self, assignment: _Assignment, partition: OwnedPartition) -> None:
        while not assignment.is_closed:
            work = await partition.end_leases(now_ms=clock.now_ms())
            self._looked.add(partition.number)
            if work is None:
                self._due.discard(partition.number)
                await asyncio.sleep(LEASES_EVERY_S)
            else:
                self._due.add(partition.number)
                self._count(work)
                await asyncio.sleep(0)

    async def _beat(self, assignment: _Assignment) -> None:
        """Say that the role is alive for as long as no partition hangs."""
        while not assignment.is_closed:
            if self._looked >= set(assignment.partitions):
                self._looked.clear()
                self._health.beat()
            await asyncio.sleep(LEASES_EVERY_S)

    def _count(self, work: Work) -> None:
        self._metrics.blocklist_changes_total.labels(change="inserted").inc(work.inserted)
        self._metrics.blocklist_changes_total.labels(change="extended").inc(work.extended)
        self._metrics.blocklist_changes_total.labels(change="expired").inc(work.released)
        self._metrics.blocklist_held_total.labels(fate="held").inc(work.held)
        self._metrics.blocklist_held_total.labels(fate="discarded").inc(work.discarded)


def _signals(values: Sequence[bytes | None]) -> tuple[list[AnySignal], list[tuple[int, DataError]]]:
    signals: list[AnySignal] = []
    refused: list[tuple[int, DataError]] = []
    for place, value in enumerate(values):
        try:
            signals += signals_from_bytes(value or b"")
        except DataError as error:
            log.error("signals_unreadable", reason=str(error))
            refused.append((place, error))
    return signals, refused
