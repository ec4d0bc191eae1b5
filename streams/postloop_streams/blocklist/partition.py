"""One partition that this worker owns: its signals are applied and its leases end, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.blocklist import split_state_key
from postloop.contracts.blocklist_state import ANSWER_PREFIX, ENTRY_PREFIX
from postloop.domain.blocklist import Signal, TimePassed
from postloop_streams.blocklist.folding import Folder, Work
from postloop_streams.blocklist.joining import Joined

# Leases that end together: enough that publishing costs little each, little enough to let signals in between.
DUE_AT_ONCE: Final = 500
SIGNALS_AT_ONCE: Final = 2_000
"""Signals applied at once: their events are published together."""

Publish = Callable[[int, Work], Awaitable[None]]
"""Publishes the outgoing records and then the changelog of a partition; returns when all are acknowledged."""


class OwnedPartition:
    """The state of one partition. Its calls may overlap; they take turns."""

    def __init__(self, number: int, store: PartitionStore, folder: Folder, *, publish: Publish) -> None:
        self.number = number
        self.store = store
        self._folder = folder
        self._publish = publish
        self._turn = asyncio.Lock()
        self._joined = Joined[Signal, Work | None](self._apply, limit=SIGNALS_AT_ONCE, turn=self._turn)
        self._now_ms = 0
        self.is_closed = False

    async def apply(self, signals: Sequence[Signal], *, now_ms: int) -> Work | None:
        """Apply signals, with others that wait; None when the partition was closed before. Publishes first, keeps then.

        A crash between the two repeats events with the same ids, and misses none. The work is returned to one of
        those whose signals were applied together, to the others an empty one.
        """
        self._now_ms = max(self._now_ms, now_ms)
        work, leads = await self._joined(signals)
        return work if leads or work is None else Work()

    async def _apply(self, signals: Sequence[Signal]) -> Work | None:
        return None if self.is_closed else await self._work_off(signals, now_ms=self._now_ms)

    async def end_leases(self, *, now_ms: int) -> Work | None:
        """End what is due, the longest due first; None when nothing was."""
        async with self._turn:
            if self.is_closed:
                return None
            due = await asyncio.to_thread(self.store.due, now_ms, limit=DUE_AT_ONCE)
            if not due:
                return None
            places = [
                split_state_key(key.removeprefix(ENTRY_PREFIX))
                for key, _ in due
                if key.startswith(ENTRY_PREFIX)
            ]
            over = [Item(key, None) for key, _ in due if key.startswith(ANSWER_PREFIX)]
            signals = [TimePassed(scope=scope, recipient=recipient) for scope, recipient in places]
            return await self._work_off(signals, now_ms=now_ms, also=over)

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        self.is_closed = True
        async with self._turn:
            await asyncio.to_thread(self.store.close)

    async def _work_off(self, signals: Sequence[Signal], *, now_ms: int, also: Sequence[Item] = ()) -> Work:
        work = await asyncio.to_thread(self._folder.fold, signals, now_ms=now_ms)
        work.items.update((item.key, item) for item in also)
        if work.outgoing or work.items or work.failures:
            await self._publish(self.number, work)
        if work.items:
            await asyncio.to_thread(self.store.apply, list(work.items.values()))
        return work
