"""The partitions that a worker owns between two rebalances: opened, looked at again and again, and closed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import ReputationMetrics
from postloop.adapters.partition_store import PartitionStore
from postloop.adapters.reputation_store import Found, Subject
from postloop.contracts.fields import milliseconds
from postloop.contracts.reputation import KEY_PREFIX, REPUTATION_PREFIXES, kept_from_bytes
from postloop.domain.reputation import Evidence, ReputationPolicy
from postloop_streams.patience import AbandonedError
from postloop_streams.reputation.deciding import (
    Decisions,
    UnsettledCounts,
    decide,
    left_over,
    owner_of,
    subject_of,
)
from postloop_streams.reputation.publishing import Publisher
from postloop_streams.reputation.watching import AlertWatch

log = structlog.stdlib.get_logger("postloop.reputation")

# Windows move on and latecomers arrive: everybody is looked at so often, whether there is news or not.
SWEEP_EVERY_S: Final = 3600.0
# Rows are stored this long after they were cut at most, as a rule; the sweep finds the others.
OVERLAP: Final = timedelta(seconds=30)
# The minute that runs counts as well.
_RUNNING: Final = timedelta(minutes=1)
# Senders with fewer outcomes in 30 days have no verdict with single providers or over single pools, each of which needs
# 100.
BIG_OUTCOME_COUNT: Final = 1_000
# A sender that is in the news all the time is judged by its parts so often.
PARTS_EVERY_S: Final = 60.0
_IDLE_S: Final = 0.2
_PAUSE_S: Final = 1.0
_CLOSING_S: Final = 4.0
_PAGE: Final = 5_000
_NOTHING: Final = Evidence({})


class EvidenceReader(Protocol):
    """Reads evidence in pages; blocks."""

    def all_evidence(self, as_of: datetime) -> Iterator[Found]: ...

    def news(self, as_of: datetime, *, since: datetime) -> Iterator[Found]: ...

    def by_provider(self, subjects: Sequence[Subject], *, as_of: datetime) -> Found: ...

    def over_pools(self, subjects: Sequence[Subject], *, as_of: datetime) -> Found: ...


@dataclass
class _Assignment:
    """What a worker owns.

    Attributes:
        moved: The larger senders that were in the news and whose parts have not been looked at since these were over.
    """

    numbers: frozenset[int]
    stores: dict[int, PartitionStore] = field(default_factory=dict)
    unsettled: UnsettledCounts = field(default_factory=dict)
    moved: set[Subject] = field(default_factory=set)
    is_closed: bool = False


class Watcher:
    """One worker's sender domains.

    Attributes:
        partitions: Of the changelog; set before the first assignment.

    Args:
        open_stores: Makes the stores of partitions, complete; returns how many senders were restored as well.
        interval_s: News is looked for so often.
        fail: Called once with the reason when the role must not go on.
    """

    def __init__(
        self,
        reader: EvidenceReader,
        *,
        open_stores: Callable[[Iterable[int]], Awaitable[tuple[dict[int, PartitionStore], int]]],
        publisher: Publisher,
        alerts: AlertWatch,
        policy: ReputationPolicy,
        interval_s: float,
        metrics: ReputationMetrics,
        health: HealthState,
        fail: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._open_stores = open_stores
        self._publisher = publisher
        self._policy = policy
        self._interval_s = interval_s
        self._alerts = alerts
        self._metrics = metrics
        self._health = health
        self._fail = fail
        self._assignment: _Assignment | None = None
        self._serving: asyncio.Task[None] | None = None
        self._by_part_s: dict[Subject, float] = {}
        self.partitions = 0

    async def assign(self, numbers: Collection[int]) -> None:
        """Own these partitions from now on. Returns at once."""
        await self.revoke()
        self._assignment = _Assignment(frozenset(numbers))
        self._serving = asyncio.create_task(self._serve(self._assignment), name="reputation-serve")

    async def revoke(self) -> None:
        """Own nothing any more; what is under way is left to the next owner, who finds what was meant to be told."""
        assignment, serving = self._assignment, self._serving
        self._assignment = self._serving = None
        self._by_part_s.clear()
        if assignment is None or serving is None:
            return
        assignment.is_closed = True
        _, pending = await asyncio.wait({serving}, timeout=_CLOSING_S)
        if pending:
            serving.cancel()
            await asyncio.wait({serving}, timeout=_PAUSE_S)
            log.warning("work_abandoned", waited_s=_CLOSING_S)
        for store in assignment.stores.values():
            store.close()

    async def _serve(self, assignment: _Assignment) -> None:
        try:
            await self._open(assignment)
            await self._look_again(assignment)
        except AbandonedError:
            return
        except Exception as error:  # a fault of ours: whoever starts next begins where this ended
            log.exception("reputation_failed")
            self._fail(f"{type(error).__name__}: {error}")

    async def _open(self, assignment: _Assignment) -> None:
        self._health.set("partitions", False, "reading what was said of senders")
        while not assignment.is_closed:
            try:
                stores, restored = await self._open_stores(sorted(assignment.numbers))
            except (UnavailableError, RefusedError) as error:
                self._wait("partitions", error)
                await asyncio.sleep(_PAUSE_S)
                continue
            assignment.stores = stores
            self._metrics.reputation_restored_senders.inc(restored)
            for number, store in stores.items():
                for prefix in REPUTATION_PREFIXES:
                    found = await asyncio.to_thread(left_over, store, prefix=prefix, limit=_PAGE)
                    await self._finish(number, store, found)
            await self._alerts.begin(stores)
            self._health.set("partitions", True)
            log.info("partitions_opened", count=len(stores), restored=restored)
            return

    async def _look_again(self, assignment: _Assignment) -> None:
        """Look at those with news, at alerts when it is time, and at everybody every hour, a page after each of these.

        In turns: looks at the news that take longer than their interval leave time for the others as well.
        """
        since, news_at_s, sweep_at_s = utc_now() - OVERLAP, 0.0, 0.0
        sweep: _Sweep | None = None
        while not assignment.is_closed:
            now_s, is_idle = time.monotonic(), True
            try:
                if now_s >= news_at_s:
                    is_idle, news_at_s, began_at = False, now_s + self._interval_s, utc_now()
                    await self._take_all(assignment, self._reader.news(began_at + _RUNNING, since=since))
                    since, took_s = began_at - OVERLAP, time.monotonic() - now_s
                    news_at_s = now_s + next_look_after_s(took_s, interval_s=self._interval_s)
                    self._metrics.reputation_look_seconds.set(took_s)
                if await self._alerts.look(assignment.stores):
                    is_idle = False
                if sweep is None and now_s >= sweep_at_s:
                    sweep_at_s = now_s + SWEEP_EVERY_S
                    began_at = utc_now()
                    sweep = _Sweep(self._reader.all_evidence(began_at + _RUNNING), milliseconds(began_at))
                if sweep is not None:
                    is_idle, sweep = False, await self._sweep_on(assignment, sweep)
                if is_idle:
                    await asyncio.sleep(_IDLE_S)
                self._health.set("clickhouse", True)
                self._health.beat()
            except (UnavailableError, RefusedError) as error:
                sweep, sweep_at_s = None, 0.0
                self._wait("clickhouse", error)
                await asyncio.sleep(_PAUSE_S)

    async def _take_all(self, assignment: _Assignment, pages: Iterator[Found]) -> None:
        """Look at those with news; at the parts of the larger ones once more when their news are over."""
        big: set[Subject] = set()
        while (page := await asyncio.to_thread(next, pages, None)) is not None and not assignment.is_closed:
            await self._take(assignment, page)
            found = self._big(assignment, page)
            await self._take_by_part(assignment, self._due(found))
            big.update(found)
            self._health.beat()
        rested = self._due(assignment.moved - big)[:_PAGE]
        assignment.moved.update(big)
        await self._take_by_part(assignment, rested, is_settled=True)
        assignment.moved.difference_update(rested)

    async def _sweep_on(self, assignment: _Assignment, sweep: _Sweep) -> _Sweep | None:
        """Look at the next page of everybody, at last at those who have sent nothing for 30 days."""
        page = await asyncio.to_thread(next, sweep.pages, None)
        if page is not None:
            sweep.found(page)
            await self._take(assignment, page)
            sweep.found(await self._take_by_part(assignment, self._big(assignment, page)))
            return sweep
        for store in assignment.stores.values():
            silent = await asyncio.to_thread(_silent, store, sweep)
            await self._take(assignment, [(subject, _NOTHING) for subject in silent])
        self._metrics.reputation_senders.set(
            sum(store.count(KEY_PREFIX) for store in assignment.stores.values())
        )
        return None

    async def _take(
        self,
        assignment: _Assignment,
        found: Sequence[tuple[Subject, Evidence | None]],
        *,
        is_settled: bool = False,
    ) -> None:
        """Judge subjects; those whose rollups are being repaired another time."""
        by_partition: defaultdict[int, list[tuple[Subject, Evidence]]] = defaultdict(list)
        for subject, evidence in found:
            if evidence is None:
                continue
            by_partition[owner_of(subject.sender_domain, self.partitions)].append((subject, evidence))
        now_ms = milliseconds(utc_now())
        for number, store in assignment.stores.items():
            mine = by_partition.get(number)
            if mine and not assignment.is_closed:
                decided = partial(
                    decide,
                    store,
                    mine,
                    policy=self._policy,
                    now_ms=now_ms,
                    unsettled=assignment.unsettled,
                    is_settled=is_settled,
                )
                decisions = await asyncio.to_thread(decided)
                self._metrics.reputation_evaluations_total.inc(len(mine))
                await self._finish(number, store, decisions)

    def _big(self, assignment: _Assignment, page: Found) -> list[Subject]:
        """Return those of a page whose parts are judged as well."""
        return [
            subject
            for subject, evidence in page
            if evidence is not None
            and evidence.counts("30d").outcome_count >= BIG_OUTCOME_COUNT
            and owner_of(subject.sender_domain, self.partitions) in assignment.stores
        ]

    def _due(self, subjects: Iterable[Subject]) -> list[Subject]:
        """Return those whose parts were not looked at lately."""
        latest_s = time.monotonic() - PARTS_EVERY_S
        return [one for one in subjects if self._by_part_s.get(one, latest_s) <= latest_s]

    async def _take_by_part(
        self, assignment: _Assignment, big: Sequence[Subject], *, is_settled: bool = False
    ) -> Found:
        """Judge larger senders with each mailbox provider and over each IP pool; return these parts."""
        if not big or assignment.is_closed:
            return []
        now_s = time.monotonic()
        least, as_of = self._policy.min_outcome_count, utc_now() + _RUNNING
        found: Found = []
        for read in (self._reader.by_provider, self._reader.over_pools):
            found += [
                (subject, evidence)
                for subject, evidence in await asyncio.to_thread(partial(read, big, as_of=as_of))
                if evidence is None or evidence.counts("30d").outcome_count >= least
            ]
        await self._take(assignment, found, is_settled=is_settled)
        self._by_part_s.update(dict.fromkeys(big, now_s))
        return found

    async def _finish(self, number: int, store: PartitionStore, decisions: Decisions) -> None:
        """Do what was decided. After a crash anywhere in here the next owner tells the same, with the same ids."""
        if not decisions.items:
            return
        if decisions.intents:
            await self._publisher.keep(number, decisions.intents)
        if decisions.changes:
            await self._publisher.tell(decisions.changes)
        await self._publisher.store(decisions.logged, decisions.current)
        await self._publisher.keep(number, decisions.items)
        await asyncio.to_thread(store.apply, decisions.items)
        for change in decisions.changes:
            self._metrics.reputation_changes_total.labels(grade=change.after.grade).inc()
            log.info(
                "reputation_changed",
                account_id=change.account_id,
                sender_domain=change.sender_domain,
                mailbox_provider=change.mailbox_provider,
                grade=change.after.grade,
                recommendation=change.recommendation,
            )

    def _wait(self, part: str, error: Exception) -> None:
        self._health.set(part, False, str(error))
        self._health.beat()
        log.warning("reputation_waits", part=part, reason=str(error))


@dataclass
class _Sweep:
    """A look at everybody.

    Attributes:
        began_ms: Whoever was judged since then is not silent: news may have come behind a page.
        seen: Of whom there is mail.
        unreadable: Pairs of which something could not be read: nothing of them is silent for that.
    """

    pages: Iterator[Found]
    began_ms: int
    seen: set[Subject] = field(default_factory=set)
    unreadable: set[Subject] = field(default_factory=set)

    def found(self, page: Found) -> None:
        """Remember whom a page is about."""
        self.seen.update(subject for subject, _ in page)
        self.unreadable.update(subject.domain for subject, evidence in page if evidence is None)


def next_look_after_s(took_s: float, *, interval_s: float) -> float:
    """Return when to look for news again, counted from the beginning of a look that took so long.

    A look that nearly fills its interval leaves the database to others for as long, but for no longer than an interval.
    """
    return max(interval_s, took_s + min(took_s, interval_s))


def _silent(store: PartitionStore, sweep: _Sweep) -> list[Subject]:
    """Return those of whom something is said and nothing is counted any more."""
    silent = []
    for prefix in REPUTATION_PREFIXES:
        after = ""
        while page := store.beginning(prefix, limit=_PAGE, after=after):
            after = page[-1][0]
            for key, value in page:
                subject = subject_of(key)
                if subject in sweep.seen or subject.domain in sweep.unreadable:
                    continue
                state = kept_from_bytes(value)[0]
                is_judged = subject.is_part or state.standing.grade != "unknown"
                if is_judged and state.at_ms < sweep.began_ms:
                    silent.append(subject)
    return silent
