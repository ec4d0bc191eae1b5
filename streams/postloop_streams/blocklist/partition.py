"""One partition that this worker owns: its signals are applied and its leases end, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.blocklist import split_state_key
from postloop.contracts.blocklist_state import ANSWER_PREFIX, ENTRY_PREFIX, PROVIDER_PREFIX, AnySignal
from postloop.domain.blocklist import Signal, TimePassed
from postloop.domain.incident import Counted, HoldBegan, HoldEnded
from postloop_streams.blocklist.folding import Folder
from postloop_streams.blocklist.holding import Holding
from postloop_streams.blocklist.watching import ProviderWatch
from postloop_streams.blocklist.work import Work
from postloop_streams.joining import Joined

# Leases that end together: enough that publishing costs little each, little enough to let signals in between.
DUE_AT_ONCE: Final = 500
SIGNALS_AT_ONCE: Final = 2_000
"""Signals applied at once: their events are published together."""

Publish = Callable[[int, Work], Awaitable[None]]
"""Publishes the outgoing records and then the changelog of a partition; returns when all are acknowledged."""


class ClosedError(Exception):
    """The partition was closed in the middle of something long: its next owner begins it again."""


class OwnedPartition:
    """The state of one partition. Its calls may overlap; they take turns.

    Args:
        holding: The same that the folder asks.
    """

    def __init__(
        self,
        number: int,
        store: PartitionStore,
        folder: Folder,
        *,
        holding: Holding,
        watch: ProviderWatch,
        publish: Publish,
    ) -> None:
        self.number = number
        self.store = store
        self._folder = folder
        self._holding = holding
        self._watch = watch
        self._publish = publish
        self._turn = asyncio.Lock()
        self._joined = Joined[AnySignal, Work | None](self._apply, limit=SIGNALS_AT_ONCE, turn=self._turn)
        self._now_ms = 0
        self.is_closed = False

    async def apply(self, signals: Sequence[AnySignal], *, now_ms: int) -> Work | None:
        """Apply signals, with others that wait; None when the partition was closed before. Publishes first, keeps then.

        A crash between the two repeats events with the same ids, and misses none. The work is returned to one of
        those whose signals were applied together, to the others an empty one.
        """
        self._now_ms = max(self._now_ms, now_ms)
        work, leads = await self._joined(signals)
        return work if leads or work is None else Work()

    async def _apply(self, signals: Sequence[AnySignal]) -> Work | None:
        done = Work()
        try:
            for part in _parts(signals):
                done.add_counts(await self._apply_part(part, now_ms=self._now_ms))
        except ClosedError:
            return None
        return done

    async def end_leases(self, *, now_ms: int) -> Work | None:
        """End what is due, the longest due first; None when nothing was."""
        async with self._turn:
            if self.is_closed:
                return None
            due = await asyncio.to_thread(self.store.due, now_ms, limit=DUE_AT_ONCE)
            if not due:
                return None
            keys = [key for key, _ in due]
            places = [split_state_key(key) for key in _named(keys, ENTRY_PREFIX)]
            signals = [TimePassed(scope=scope, recipient=recipient) for scope, recipient in places]
            work = await asyncio.to_thread(self._folder.fold, signals, now_ms=now_ms, stored=dict(due))
            for command_id in _named(keys, ANSWER_PREFIX):
                work.keep(Item(ANSWER_PREFIX + command_id, None))
            for provider in _named(keys, PROVIDER_PREFIX):
                self._watch.tick(provider, work, now_ms=now_ms)
            return await self._finish(work)

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        self.is_closed = True
        async with self._turn:
            await asyncio.to_thread(self.store.close)

    async def _apply_part(
        self, part: HoldBegan | HoldEnded | Sequence[Signal | Counted], *, now_ms: int
    ) -> Work:
        match part:
            case HoldBegan():
                return await self._begin_hold(part, now_ms=now_ms)
            case HoldEnded():
                return await self._end_hold(part, now_ms=now_ms)
            case _:
                return await self._fold(part, now_ms=now_ms)

    async def _begin_hold(self, signal: HoldBegan, *, now_ms: int) -> Work:
        """Hold from now on, and release whom the outage had blocked before it was found."""
        done = Work()
        item = self._holding.begin(signal)
        if item is None:
            return done
        await self._keep([item])
        place: tuple[int, str] | None = None
        while True:
            orders, place = await asyncio.to_thread(
                self._holding.made_by, signal, after=place, limit=DUE_AT_ONCE
            )
            if place is None:
                return done
            done.add_counts(await self._fold(orders, now_ms=now_ms))

    async def _end_hold(self, signal: HoldEnded, *, now_ms: int) -> Work:
        """Hold no longer; what was held blocks now, or is forgotten."""
        done = Work()
        await self._keep([self._holding.end(signal)])
        while held := await asyncio.to_thread(self._holding.held, signal.provider, limit=DUE_AT_ONCE):
            if signal.verdict == "release":
                signals = [reported for _, group in held for reported in group]
                done.add_counts(await self._fold(signals, now_ms=now_ms))
            await self._keep([Item(key, None) for key, _ in held])
        return done

    async def _fold(self, signals: Sequence[Signal | Counted], *, now_ms: int) -> Work:
        if self.is_closed:
            raise ClosedError
        return await self._finish(await asyncio.to_thread(self._folder.fold, signals, now_ms=now_ms))

    async def _keep(self, items: Sequence[Item]) -> None:
        if self.is_closed:
            raise ClosedError
        await self._finish(Work(items={item.key: item for item in items}))

    async def _finish(self, work: Work) -> Work:
        if not work.is_empty:
            await self._publish(self.number, work)
        if work.items:
            await asyncio.to_thread(self.store.apply, list(work.items.values()))
        return work


def _parts(signals: Sequence[AnySignal]) -> Iterator[HoldBegan | HoldEnded | Sequence[Signal | Counted]]:
    """Yield what is applied at once: what comes before a hold begins is not held."""
    for is_hold, group in groupby(signals, lambda signal: isinstance(signal, HoldBegan | HoldEnded)):
        if is_hold:
            yield from (signal for signal in group if isinstance(signal, HoldBegan | HoldEnded))
        else:
            yield [signal for signal in group if not isinstance(signal, HoldBegan | HoldEnded)]


def _named(keys: Sequence[str], prefix: str) -> list[str]:
    return [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
