"""The reputation role: owns sender domains by the partitions of its changelog, and looks at their mail in rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from faust.types import TP

from postloop.adapters import topic_admin
from postloop.adapters.clickhouse import PATIENT, connect
from postloop.adapters.feedback_reader import FeedbackReader
from postloop.adapters.metrics import ReputationMetrics
from postloop.adapters.migrations import check_schema
from postloop.adapters.reputation_policy import reputation_policy
from postloop.adapters.reputation_store import ReputationReader
from postloop.adapters.reputation_writer import ReputationWriter
from postloop.adapters.watch_store import WatchStore
from postloop.domain.event_types import (
    DELIVERY_ALERT_TOPIC,
    REPUTATION_CHANGE_TOPIC,
    REPUTATION_CHANGELOG_TOPIC,
)
from postloop.settings import Settings
from postloop_streams.reputation.looking import Watcher
from postloop_streams.reputation.opening import Opening, open_stores
from postloop_streams.reputation.publishing import Publisher
from postloop_streams.reputation.watching import AlertWatch
from postloop_streams.role import Role
from postloop_streams.transport import RecordBatch

ROLE: Final = "reputation"
_STUCK_AFTER_S: Final = 120.0
_INSERT_S: Final = 30.0


class ReputationApp(Role):
    """Puts the watcher and its frame together."""

    def __init__(self, settings: Settings) -> None:
        policy = reputation_policy(settings)
        self._metrics = ReputationMetrics()
        super().__init__(
            settings,
            ROLE,
            parts=["partitions", "clickhouse"],
            stuck_after_s=_STUCK_AFTER_S,
            registry=self._metrics.registry,
        )
        self._client = connect(settings, **PATIENT)
        self._reader = ReputationReader(
            self._client, settings, representative_count=policy.representative_count
        )
        inserting = connect(settings, timeout_s=_INSERT_S)
        self._watches = WatchStore(inserting, settings)
        self._publisher = Publisher(
            self.app,
            lease=self.lease,
            prefix=settings.topic_prefix,
            write=ReputationWriter(inserting, settings).write,
            write_watches=self._watches.write,
            dead_letters=self.journaled_dead_letters(self._metrics.dead_letters_total),
            health=self.health,
        )
        self._changelog = self.named(REPUTATION_CHANGELOG_TOPIC)
        self._alerts = AlertWatch(
            FeedbackReader(self._client, settings), publisher=self._publisher, metrics=self._metrics
        )
        self._watcher = Watcher(
            self._reader,
            open_stores=lambda numbers: open_stores(numbers, self._watcher.partitions, self._opening()),
            publisher=self._publisher,
            alerts=self._alerts,
            policy=policy,
            interval_s=settings.reputation_interval.total_seconds(),
            metrics=self._metrics,
            health=self.health,
            fail=self.fail,
        )
        self.agent("reputation-own", [self._changelog], self._pass)

    def check(self) -> list[str]:
        """Return what is missing before the worker can start: topics, tables, migrations."""
        names = [self.named(REPUTATION_CHANGE_TOPIC), self.named(DELIVERY_ALERT_TOPIC), self._changelog]
        problems = self.missing_topics(names) + check_schema(self._client, self.settings)
        if not problems:
            counts = topic_admin.partition_counts(self.settings, names)
            self._watcher.partitions = self._alerts.partitions = counts[self._changelog]
        return problems

    def _opening(self) -> Opening:
        return Opening(
            settings=self.settings,
            directory=self.settings.data_dir / ROLE,
            topic=self._changelog,
            topic_ids=lambda names: topic_admin.topic_ids(self.settings, names),
            restore=self._reader.restore,
            restore_watches=self._watches.restore,
            publisher=self._publisher,
        )

    async def _pass(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        """Pass over what this role wrote itself: the topic is read for its partitions, which say who owns whom."""
        ack()

    async def assigned(self, generation_id: int, tps: Collection[TP]) -> None:
        """Own the sender domains of these partitions."""
        numbers = [tp.partition for tp in tps if tp.topic == self._changelog]
        self.log.info("partitions_assigned", count=len(numbers), generation=generation_id)
        await self._watcher.assign(numbers)

    async def revoked(self) -> None:
        """Own nothing any more."""
        await self._watcher.revoke()

    async def stopped(self) -> None:
        """Begin nothing any more."""
        self._publisher.stop()
