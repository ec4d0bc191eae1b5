"""Owning endpoints: deliveries are kept, attempted in turns, settled, and handed over in peace."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

import structlog

from postloop.adapters import clock
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import WebhookMetrics
from postloop.adapters.webhook_queue import WebhookQueue
from postloop.adapters.webhook_queue_file import Placed
from postloop.contracts.webhook_attempt import AttemptLogV1
from postloop.contracts.webhook_command import command_from_bytes, is_command
from postloop.contracts.webhook_delivery import deliveries_from_bytes
from postloop.domain.errors import DataError
from postloop.domain.webhook.dispatch import Slots
from postloop.domain.webhook.endpoint import DisableCause
from postloop_streams.assignments import assignment_of
from postloop_streams.dead_letters import PublishDeadLetters, unreadable
from postloop_streams.patience import AbandonedError, Patience
from postloop_streams.webhooks.assignment import Assignment, WriteChangelog
from postloop_streams.webhooks.desk import Desk, Job, Judged
from postloop_streams.webhooks.directory import EndpointBook
from postloop_streams.webhooks.logbook import answer_log, backlog_of, given_up_log, logs_of, outcome_of
from postloop_streams.webhooks.sending import Attempts

log = structlog.stdlib.get_logger("postloop.webhooks")

_OPENING_PAUSE_S: Final = 1.0
# Results are written down together: a transaction costs the same for one as for fifty.
_COLLECT_S: Final = 0.02
_IDLE_S: Final = 0.25
_SETTLE_EVERY_S: Final = 0.5
# What is not made within this costs a record of the changelog.
_SETTLE_AFTER_MS: Final = 2_000
_BACKLOG_EVERY_S: Final = 5.0
_UPKEEP_EVERY_S: Final = 60.0
# A stopping worker waits so long for answers, and then so long for the broker.
_LAST_ANSWERS_S: Final = 1.0
_CLOSING_S: Final = 4.0


class Record(Protocol):
    """A consumed record of the delivery topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Outside:
    """What owning needs of the world.

    Attributes:
        open_queues: (partition -> committed place) -> the queues, up to date.
        committed: Partitions -> the places that are committed.
        write: Writes to a partition of the changelog; returns when the broker has it.
        tell: Publishes logs of attempts likewise.
        disable: Disables an endpoint for a cause and tells who must hear of it.
        refuse: Publishes dead letters likewise.
        patience: Makes one for a new assignment.
        generation: The generation of the consumer group that is in force now.
        fail: Called once with the reason when the role must not go on.
    """

    open_queues: Callable[[Mapping[int, int]], Awaitable[dict[int, WebhookQueue]]]
    committed: Callable[[Collection[int]], Awaitable[dict[int, int]]]
    write: WriteChangelog
    tell: Callable[[Sequence[AttemptLogV1]], Awaitable[None]]
    disable: Callable[[str, DisableCause], Awaitable[None]]
    refuse: PublishDeadLetters
    patience: Callable[[], Patience]
    generation: Callable[[], int]
    fail: Callable[[str], None]


class Owner:
    """One worker's partitions of the deliveries.

    Attributes:
        attempts: Sends; set when the event loop runs.
    """

    def __init__(
        self,
        outside: Outside,
        book: EndpointBook,
        *,
        slots: Slots,
        metrics: WebhookMetrics,
        health: HealthState,
    ) -> None:
        self._outside = outside
        self._book = book
        self._slots = slots
        self._metrics = metrics
        self._health = health
        self._assignment: Assignment | None = None
        self._serving: asyncio.Task[None] | None = None
        self._assigned = asyncio.Condition()
        self._told_backlog: dict[str, tuple[int, int]] = {}
        self.attempts: Attempts | None = None

    async def assign(self, generation_id: int, numbers: Collection[int]) -> None:
        """Own these partitions from now on. Returns at once."""
        await self.revoke()
        assignment = Assignment(
            generation_id,
            frozenset(numbers),
            desk=Desk(self._book.directory, self._book.removed, slots=self._slots),
            patience=self._outside.patience(),
            write=self._outside.write,
        )
        async with self._assigned:
            self._assignment = assignment
            self._assigned.notify_all()
        self._serving = asyncio.create_task(self._serve(assignment), name="webhooks-serve")

    async def revoke(self) -> None:
        """Own nothing any more: answers that come at once are written down, everything is settled, files are closed."""
        assignment, serving = self._assignment, self._serving
        self._assignment = self._serving = None
        if assignment is None or serving is None:
            return
        assignment.is_closed = True
        try:
            async with asyncio.timeout(_CLOSING_S):
                if assignment.running:
                    await asyncio.wait(list(assignment.running), timeout=_LAST_ANSWERS_S)
                assignment.is_open.set()
                assignment.wake.set()
                await serving
                await self._finish(assignment)
        except (TimeoutError, AbandonedError):
            log.warning("work_abandoned", waited_s=_CLOSING_S)
        finally:
            serving.cancel()
            await assignment.close()

    async def _finish(self, assignment: Assignment) -> None:
        """Write down what ended, begin nothing, settle everything."""
        if not assignment.desk.owned:
            return
        judged, jobs = await self._turn(assignment)
        await assignment.call(assignment.desk.abandon, jobs)
        await self._tell(assignment, judged)
        await assignment.settle(before_ms=clock.now_ms() + 1)

    async def take(
        self, generation_id: int, number: int, records: Sequence[Record], ack: Callable[[], Any]
    ) -> None:
        """Keep the deliveries of consecutive records; `ack` is called once all of them are settled."""
        assignment = await assignment_of(
            generation_id,
            current=lambda: self._assignment,
            changed=self._assigned,
            in_force=self._outside.generation,
        )
        if assignment is None:
            return
        await assignment.is_open.wait()
        if assignment.is_closed or number not in assignment.desk.owned:
            return
        try:
            for first, last in _stretches(records):
                await self._take(assignment, number, records[first:last])
        except AbandonedError:
            return
        assignment.ack_when_settled(number, records[-1].offset + 1, ack)
        assignment.wake.set()

    async def _take(self, assignment: Assignment, number: int, records: Sequence[Record]) -> None:
        """Keep the deliveries of some records, or do what a command says."""
        value, position = records[0].value or b"", records[-1].offset + 1
        if not is_command(value):
            placed: list[Placed] = []
            for record in records:
                try:
                    read = deliveries_from_bytes(record.value or b"")
                except DataError as error:  # nothing that we wrote
                    await self._refuse(assignment, record, error)
                else:
                    placed += [Placed(delivery, record.offset) for delivery in read]
            await assignment.call(assignment.desk.put, number, placed, position=position)
            return
        try:
            command = command_from_bytes(value)
        except DataError as error:
            await self._refuse(assignment, records[0], error)
        else:
            count = await assignment.call(assignment.desk.command, number, command, now_ms=clock.now_ms())
            await assignment.patience(lambda: self._outside.tell([answer_log(command.command_id, count)]))
        await assignment.call(assignment.desk.put, number, [], position=position)

    async def _refuse(self, assignment: Assignment, record: Record, error: DataError) -> None:
        log.error("delivery_record_unreadable", reason=error.text)
        letters = [unreadable(record, error)]
        await assignment.patience(lambda: self._outside.refuse(letters))

    # -- serving -----------------------------------------------------------------------------------------------

    async def _serve(self, assignment: Assignment) -> None:
        try:
            await self._open(assignment)
            if not assignment.is_closed:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._dispatch(assignment))
                    group.create_task(self._settle(assignment))
                    group.create_task(self._look_after(assignment))
        except* AbandonedError:
            pass
        except* Exception as errors:
            log.exception("webhooks_failed")
            self._outside.fail(f"{errors.exceptions[0]!r}")

    async def _open(self, assignment: Assignment) -> None:
        self._health.set("partitions", False, "reading what waits")
        while not assignment.is_closed:
            try:
                committed = await self._outside.committed(assignment.numbers)
                queues = await self._outside.open_queues(
                    {number: committed.get(number, 0) for number in sorted(assignment.numbers)}
                )
            except (UnavailableError, RefusedError) as error:
                self._health.set("partitions", False, str(error))
                self._health.beat()
                log.warning("partitions_not_opened", reason=str(error))
                await asyncio.sleep(_OPENING_PAUSE_S)
                continue
            for number, queue in queues.items():
                assignment.desk.add(number, queue)
            assignment.is_open.set()
            self._health.set("partitions", True)
            log.info("partitions_opened", count=len(queues), generation=assignment.generation_id)
            return

    async def _dispatch(self, assignment: Assignment) -> None:
        attempts = self.attempts
        if attempts is None:
            raise RuntimeError("attempts are made before the loop runs")
        telling: asyncio.Task[None] | None = None
        try:
            while not assignment.is_closed:
                judged, jobs = await self._turn(assignment)
                for job in jobs:
                    assignment.start(job, attempts)
                self._metrics.webhook_running.set(len(assignment.running))
                if judged:
                    # The log is told beside the next turn, one piece after the other.
                    if telling is not None:
                        await telling
                    telling = asyncio.create_task(self._tell(assignment, judged))
                self._health.beat()
                if not jobs and not judged:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_IDLE_S):
                            await assignment.wake.wait()
                await asyncio.sleep(_COLLECT_S)
        finally:
            if telling is not None:
                await telling

    async def _turn(self, assignment: Assignment) -> tuple[list[Judged], list[Job]]:
        assignment.wake.clear()
        returned, assignment.returned = assignment.returned, []
        if returned:
            await assignment.call(assignment.desk.abandon, returned)
        ended, assignment.ended = assignment.ended, []
        return await assignment.call(assignment.desk.turn, ended, now_ms=clock.now_ms())

    async def _tell(self, assignment: Assignment, judged: Sequence[Judged]) -> None:
        ends = Counter((outcome_of(one), one.judgement.error) for one in judged)
        for (outcome, error), count in ends.items():
            self._metrics.webhook_attempts_total.labels(outcome=outcome, error=error).inc(count)
        for one in judged:
            self._metrics.webhook_attempt_seconds.observe(one.ended.latency_ms / 1000)
        if judged:
            await assignment.patience(lambda: self._outside.tell(logs_of(judged)))
        for one in judged:
            if one.disable:
                await self._outside.disable(one.ended.job.endpoint.endpoint_id, one.disable)

    async def _settle(self, assignment: Assignment) -> None:
        while not assignment.is_closed:
            await assignment.settle(before_ms=clock.now_ms() - _SETTLE_AFTER_MS)
            await asyncio.sleep(_SETTLE_EVERY_S)

    async def _look_after(self, assignment: Assignment) -> None:
        upkeep_s = backlog_s = 0.0
        while not assignment.is_closed:
            await assignment.call(assignment.desk.settle_endpoints, now_ms=clock.now_ms())
            await self._tell_given_up(assignment)
            if time.monotonic() - backlog_s > _BACKLOG_EVERY_S:
                backlog_s = time.monotonic()
                await self._tell_backlog(assignment)
            if time.monotonic() - upkeep_s > _UPKEEP_EVERY_S:
                upkeep_s = time.monotonic()
                await assignment.call(assignment.desk.forget, now_ms=clock.now_ms())
                await assignment.keep_health()
            await asyncio.sleep(_SETTLE_EVERY_S)

    async def _tell_given_up(self, assignment: Assignment) -> None:
        given = await assignment.call(assignment.desk.take_given_up)
        log_of = given_up_log(given, self._book.directory)
        if log_of is not None:
            await assignment.patience(lambda: self._outside.tell([log_of]))

    async def _tell_backlog(self, assignment: Assignment) -> None:
        counts = await assignment.call(assignment.desk.counts)
        self._metrics.webhook_waiting.set(sum(waiting for waiting, _ in counts.values()))
        self._metrics.webhook_dead.set(sum(dead for _, dead in counts.values()))
        told = backlog_of(counts, self._told_backlog, self._book.directory)
        if told is not None:
            await assignment.patience(lambda: self._outside.tell([told]))
            self._told_backlog = dict(counts)


def _stretches(records: Sequence[Record]) -> list[tuple[int, int]]:
    """Return the ends of stretches that hold deliveries only, or one command."""
    commands = [place for place, record in enumerate(records) if is_command(record.value or b"")]
    ends = sorted({0, len(records), *commands, *(place + 1 for place in commands)})
    return list(pairwise(ends))
