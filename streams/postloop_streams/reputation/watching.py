"""Watching delivery times every minute, and once an hour is over whether feedback of it arrived."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.clock import utc_now
from postloop.adapters.feedback_reader import FeedbackCounts, Hours
from postloop.adapters.metrics import ReputationMetrics
from postloop.adapters.partition_store import PartitionStore
from postloop.adapters.watch_store import WatchRow
from postloop.contracts.fields import milliseconds, moment
from postloop.contracts.watch_state import owner_name, scope_of_key
from postloop.domain.alert import Scope
from postloop.domain.delivery_time import DEFAULT_DELAY_POLICY, Slice
from postloop.domain.silence import Feedback, FeedbackHour
from postloop_streams.reputation.alerting import (
    AlertDecisions,
    decide_delays,
    decide_silence,
    forgotten,
    overdue_delays,
    silence_states,
    untold,
)
from postloop_streams.reputation.deciding import owner_of
from postloop_streams.reputation.publishing import Publisher

log = structlog.stdlib.get_logger("postloop.reputation")

LOOK_EVERY: Final = timedelta(minutes=1)
# Slices are read again so far back: deliveries are stored late, and a worker may have been away.
_READ_BACK: Final = timedelta(minutes=40)
# Fewer deliveries in that time decide nothing: an alert needs 50 in an hour.
MIN_DELIVERED_COUNT: Final = 10
# An hour is closed when this much of the next one has passed and was stored.
CLOSED_AFTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
# Who is watched: a model needs some 50 expected events for an alert, which is a day or two at 30 a day.
BUSY_DAYS: Final = timedelta(days=7)
MIN_FEEDBACK_COUNT: Final = 200
# A state takes 1.5 KB: 60 MB in four kinds of the 10,000 senders with most feedback.
MAX_SENDERS: Final = 10_000
LEARNED_DAYS: Final = timedelta(days=14)
_HOURS_AT_ONCE: Final = 6
_NEW_AT_ONCE: Final = 200
_DUE_AT_ONCE: Final = 1_000
FEEDBACK: Final[tuple[Feedback, ...]] = ("delivery", "bounce", "complaint", "open")
EVERYBODY: Final = Scope()

_T = TypeVar("_T")
Stores = Mapping[int, PartitionStore]
Expected = tuple[Scope, Feedback, Sequence[FeedbackHour]]


class CountsReader(Protocol):
    """Reads counts; blocks."""

    def slices(
        self, since: datetime, until: datetime, *, slice_ms: int, min_delivered_count: int
    ) -> list[tuple[Scope, list[Slice]]]: ...

    def hours(self, since: datetime, until: datetime, *, scopes: Sequence[Scope] | None = None) -> Hours: ...

    def everybody(self, since: datetime, until: datetime) -> Hours: ...

    def busy(
        self, since: datetime, until: datetime, *, min_count: int, limit: int
    ) -> list[tuple[Scope, FeedbackCounts]]: ...

    def has_passed(self, at: datetime, *, until: datetime) -> bool: ...


class AlertWatch:
    """Looks at what the partitions of a worker own, when it is time; its states are theirs.

    Args:
        clock: Returns the time.
    """

    def __init__(
        self,
        reader: CountsReader,
        *,
        publisher: Publisher,
        metrics: ReputationMetrics,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._reader = reader
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._next_at: datetime | None = None
        self._closed_until: datetime | None = None
        self.partitions = 0

    async def begin(self, stores: Stores) -> None:
        """Tell what the owner before could not tell any more; look at everything at the next occasion."""
        self._next_at = self._closed_until = None
        for number, store in stores.items():
            await self._finish(number, store, await asyncio.to_thread(untold, store))

    async def look(self, stores: Stores) -> bool:
        """Look at delivery times, and at the hour that was closed last; return whether it was time for that."""
        now = self._clock()
        # A clock that was set back does not make the next look wait for as long.
        if self._next_at is not None and self._next_at - LOOK_EVERY <= now < self._next_at:
            return False
        await self._look_at_delays(stores, now)
        until = _whole_hour(now - CLOSED_AFTER)
        if self._closed_until is None or until > self._closed_until:
            # Where nothing was stored since, the recorder may be behind: nothing can be said of the hour.
            passed = partial(self._reader.has_passed, until + CLOSED_AFTER, until=now)
            if await asyncio.to_thread(passed):
                await self._look_at_feedback(stores, until)
                self._closed_until = until
        self._next_at = now + LOOK_EVERY
        return True

    async def _look_at_delays(self, stores: Stores, now: datetime) -> None:
        read = partial(
            self._reader.slices,
            now - _READ_BACK,
            now,
            slice_ms=DEFAULT_DELAY_POLICY.slice_ms,
            min_delivered_count=MIN_DELIVERED_COUNT,
        )
        found = await asyncio.to_thread(read)
        mine = self._by_owner((scope, (scope, slices)) for scope, slices in found)
        for number, store in stores.items():
            decisions = await asyncio.to_thread(decide_delays, store, mine[number])
            await self._finish(number, store, decisions)
            due = partial(overdue_delays, store, now_ms=milliseconds(now), limit=_DUE_AT_ONCE)
            await self._finish(number, store, await asyncio.to_thread(due))

    async def _look_at_feedback(self, stores: Stores, until: datetime) -> None:
        known, head_ms = await asyncio.to_thread(_known, stores)
        since = max(moment(head_ms) + HOUR, until - LEARNED_DAYS) if head_ms else until
        while since < until:
            end = min(since + _HOURS_AT_ONCE * HOUR, until)
            hours = await asyncio.to_thread(self._reader.hours, since, end)
            for number, store in stores.items():
                await self._expect(number, store, [(*one, hours.of(*one)) for one in known[number]])
            since = end
        await self._begin_to_expect(stores, known, until)

    async def _begin_to_expect(
        self, stores: Stores, known: Mapping[int, set[tuple[Scope, Feedback]]], until: datetime
    ) -> None:
        """Take in who became busy, whose models learn the days before at once, and forget who no longer is."""
        read = partial(
            self._reader.busy,
            until - BUSY_DAYS,
            until,
            min_count=MIN_FEEDBACK_COUNT,
            limit=MAX_SENDERS,
        )
        busy = [
            (scope, feedback)
            for scope, counts in await asyncio.to_thread(read)
            for feedback in FEEDBACK
            if counts.seen(feedback) >= MIN_FEEDBACK_COUNT
        ]
        everybody = [(EVERYBODY, feedback) for feedback in FEEDBACK] if busy else []
        mine = self._by_owner((one[0], one) for one in everybody + busy)
        for number, store in stores.items():
            quiet = known[number].difference(mine[number])
            await self._finish(number, store, await asyncio.to_thread(forgotten, store, quiet))
            new = [one for one in mine[number] if one not in known[number]]
            for first in range(0, len(new), _NEW_AT_ONCE):
                await self._learn(number, store, new[first : first + _NEW_AT_ONCE], until)

    async def _learn(
        self, number: int, store: PartitionStore, new: Sequence[tuple[Scope, Feedback]], until: datetime
    ) -> None:
        since, scopes = until - LEARNED_DAYS, list(dict.fromkeys(scope for scope, _ in new))
        hours = await asyncio.to_thread(partial(self._reader.hours, since, until, scopes=scopes))
        if EVERYBODY in scopes:
            hours.counts.update((await asyncio.to_thread(self._reader.everybody, since, until)).counts)
        await self._expect(number, store, [(*one, hours.of(*one)) for one in new])

    async def _expect(self, number: int, store: PartitionStore, found: Sequence[Expected]) -> None:
        await self._finish(number, store, await asyncio.to_thread(decide_silence, store, found))

    async def _finish(self, number: int, store: PartitionStore, decisions: AlertDecisions) -> None:
        """Do what was decided. After a crash anywhere in here the next owner tells the same, with the same ids."""
        if not decisions.items:
            return
        if decisions.intents:
            await self._publisher.keep(number, decisions.intents)
        if decisions.alerts:
            await self._publisher.tell_alerts(decisions.alerts)
        version = milliseconds(self._clock())
        await self._publisher.store_watches(
            [
                WatchRow(
                    key=item.key,
                    owner_hash=recipient_hash(owner_name(scope_of_key(item.key))),
                    version=version,
                    value="" if item.value is None else item.value.decode(),
                    is_deleted=item.value is None,
                )
                for item in decisions.items
            ]
        )
        await self._publisher.keep(number, decisions.items)
        await asyncio.to_thread(store.apply, decisions.items)
        for alert in decisions.alerts:
            change = "began" if alert.ended_at is None else "ended"
            self._metrics.delivery_alerts_total.labels(kind=alert.kind, change=change).inc()
            log.warning("delivery_alert", kind=alert.kind, change=change, text=alert.text)

    def _by_owner(self, found: Iterable[tuple[Scope, _T]]) -> defaultdict[int, list[_T]]:
        owned: defaultdict[int, list[_T]] = defaultdict(list)
        for scope, one in found:
            owned[owner_of(owner_name(scope), self.partitions)].append(one)
        return owned


def _known(stores: Stores) -> tuple[dict[int, set[tuple[Scope, Feedback]]], int]:
    """Return what is watched, by partition, and the newest hour that all of it has seen; 0: nothing is watched."""
    known: dict[int, set[tuple[Scope, Feedback]]] = {}
    heads = []
    for number, store in stores.items():
        known[number] = set()
        for state in silence_states(store):
            known[number].add((state.scope, state.feedback))
            heads.append(state.head_ms)
    return known, min(heads, default=0)


def _whole_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
