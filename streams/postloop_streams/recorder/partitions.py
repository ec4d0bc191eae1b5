"""What a worker knows of the partitions it owns during one generation of the consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from postloop.adapters.run_store import LogPartition
from postloop.domain.event_types import EventType
from postloop_streams.recorder.runs import RunQueue
from postloop_streams.recorder.seen import SeenIds


@dataclass
class PartitionState:
    """One owned partition.

    Attributes:
        log: Its identity in the life of the topic that the broker reports.
        event_type: What its records are.
        seen: Event ids stored lately.
        stored_to: Highest offset found stored when the partition was taken over; -1 when none.
        next_offset: Offset behind the last record taken in; None before the first.
        behind_count: Records behind that one which the broker was known to hold.
    """

    log: LogPartition
    event_type: EventType
    seen: SeenIds
    stored_to: int = -1
    next_offset: int | None = None
    behind_count: int = 0


class Assignment:
    """The partitions of one generation: made when they are assigned, closed when they are revoked."""

    def __init__(self, generation_id: int, wanted: Mapping[tuple[str, int], int], queue: RunQueue) -> None:
        """Start with nothing opened.

        Args:
            generation_id: Of the consumer group.
            wanted: (topic, partition) -> committed offset, 0 where none is committed. Topics as on the wire.
            queue: Where validated records wait to be stored.
        """
        self.generation_id = generation_id
        self.wanted = dict(wanted)
        self.queue = queue
        self.partitions: dict[tuple[str, int], PartitionState] = {}
        self.is_storing = False
        self._closed = asyncio.Event()
        self._opened = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def is_closed(self) -> bool:
        """The partitions may belong to another worker: nothing more is stored, nothing acked."""
        return self._closed.is_set()

    @property
    def is_busy(self) -> bool:
        """Something was taken in and is not stored yet."""
        return self.is_storing or bool(self.queue)

    def opened(self, partitions: Mapping[tuple[str, int], PartitionState]) -> None:
        """Say what is known of each partition; from now on records are taken in."""
        self.partitions.update(partitions)
        self._opened.set()

    async def close(self) -> None:
        """Stop taking in and storing; wake everybody who waits."""
        self._closed.set()
        self._opened.set()
        await self.notify()

    async def wait_opened(self) -> bool:
        """Wait until records may be taken in; False when the assignment was closed instead."""
        await self._opened.wait()
        return not self.is_closed

    async def notify(self) -> None:
        """Say that the queue or the state changed."""
        async with self._changed:
            self._changed.notify_all()

    async def wait_changed(self, timeout_s: float | None) -> None:
        """Wait until something changed, or for the timeout, or until closed."""
        if self.is_closed:
            return
        async with self._changed:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the closing."""
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            pass
