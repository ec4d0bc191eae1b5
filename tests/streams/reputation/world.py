"""Counts that ClickHouse would give, a clock that a test moves, and what a worker published and kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from postloop.adapters.feedback_reader import FeedbackCounts, Hours
from postloop.adapters.metrics import ReputationMetrics
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.watch_store import WatchRow
from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.fields import milliseconds
from postloop.domain.alert import Scope
from postloop.domain.delivery_time import Slice
from postloop_streams.patience import AbandonedError
from postloop_streams.reputation.watching import EVERYBODY, AlertWatch

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
SLICE = timedelta(minutes=10)
SENDER = Scope(account_id="acme", sender_domain="mail.acme.example")
AT_GMAIL = Scope(account_id="acme", sender_domain="mail.acme.example", mailbox_provider="gmail")


class Counts:
    """What was counted so far; the future is known and not told."""

    def __init__(self) -> None:
        self.by_slice: defaultdict[Scope, dict[int, tuple[int, int]]] = defaultdict(dict)
        self.by_hour: defaultdict[Scope, dict[int, FeedbackCounts]] = defaultdict(dict)
        self.is_stored = True

    def slices(
        self, since: datetime, until: datetime, *, slice_ms: int, min_delivered_count: int
    ) -> list[tuple[Scope, list[Slice]]]:
        begin_ms = milliseconds(since) // slice_ms * slice_ms
        found = []
        for scope, counted in self.by_slice.items():
            slices = [
                Slice(at_ms=at_ms, delivered_count=n, delayed_count=late)
                for at_ms, (n, late) in counted.items()
                if begin_ms <= at_ms < milliseconds(until)
            ]
            if sum(one.delivered_count for one in slices) >= min_delivered_count:
                found.append((scope, slices))
        return found

    def hours(self, since: datetime, until: datetime, *, scopes: Sequence[Scope] | None = None) -> Hours:
        wanted = self.by_hour if scopes is None else {scope: self.by_hour[scope] for scope in scopes}
        known = {scope: dict(hours) for scope, hours in wanted.items()}
        return Hours(milliseconds(since), milliseconds(until), known)

    def everybody(self, since: datetime, until: datetime) -> Hours:
        return self.hours(since, until, scopes=[EVERYBODY])

    def busy(
        self, since: datetime, until: datetime, *, min_count: int, limit: int
    ) -> list[tuple[Scope, FeedbackCounts]]:
        found = []
        for scope, hours in self.by_hour.items():
            week = [c for at_ms, c in hours.items() if milliseconds(since) <= at_ms < milliseconds(until)]
            total = FeedbackCounts(*(sum(column) for column in zip(*week, strict=True)))
            if scope != EVERYBODY and max(total[1:]) >= min_count:
                found.append((scope, total))
        return found[:limit]

    def has_passed(self, at: datetime, *, until: datetime) -> bool:
        return self.is_stored


@dataclass
class Outlet:
    """Takes what a worker says; ends it where a test wants: `keep`, `tell_alerts` or `store_watches`."""

    alerts: list[DeliveryAlertV1] = field(default_factory=list)
    kept: dict[str, bytes | None] = field(default_factory=dict)
    rows: dict[str, WatchRow] = field(default_factory=dict)
    dies_after: str = ""

    async def keep(self, partition: int, items: Sequence[Item]) -> None:
        self.kept.update({item.key: item.value for item in items})
        self._die("keep")

    async def tell_alerts(self, alerts: Sequence[DeliveryAlertV1]) -> None:
        self.alerts += alerts
        self._die("tell_alerts")

    async def store_watches(self, rows: Sequence[WatchRow]) -> None:
        self.rows.update({row.key: row for row in rows})
        self._die("store_watches")

    def _die(self, where: str) -> None:
        if self.dies_after == where:
            self.dies_after = ""
            raise AbandonedError("the worker was killed")


class World:
    """One partition, its owner, and the clock."""

    def __init__(self, store: PartitionStore) -> None:
        self.store = store
        self.counts, self.outlet = Counts(), Outlet()
        self.now = START
        self.restart()

    def restart(self) -> None:
        """Replace the worker: nothing is left but what it kept."""
        self.watch = AlertWatch(
            self.counts,
            publisher=self.outlet,  # type: ignore[arg-type]
            metrics=ReputationMetrics(),
            clock=lambda: self.now,
        )
        self.watch.partitions = 1

    async def look(self, *, restarted: bool = False) -> None:
        if restarted:
            self.restart()
            await self.watch.begin({0: self.store})
        await self.watch.look({0: self.store})

    def told(self, kind: str) -> list[DeliveryAlertV1]:
        return [alert for alert in self.outlet.alerts if alert.kind == kind]
