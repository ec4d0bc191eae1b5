"""The recorder: one agent over all input topics, its own consumer group."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from faust.types import TP
from prometheus_client import Gauge

from postloop.adapters import topic_admin
from postloop.adapters.clickhouse import connect
from postloop.adapters.metrics import RecorderMetrics
from postloop.adapters.migrations import check_schema
from postloop.adapters.run_store import ClickHouseRunStore
from postloop.domain.event_types import DEADLETTER_TOPIC, EVENT_TYPES, topic_name
from postloop.settings import Settings
from postloop_streams.dead_letters import DeadLetterTopic
from postloop_streams.recorder.reconciler import Reconciler
from postloop_streams.recorder.recorder import Outside, Recorder
from postloop_streams.role import Role
from postloop_streams.transport import RecordBatch, committed_offsets, pause_between_fetches

ROLE: Final = "recorder"
# What a stopping worker takes to store what it already took in. Seconds.
DRAIN_S: Final = 3.0
# A stop of `postloop up` waits for what the broker still holds, some seconds at most.
LONGEST_PAUSE_S: Final = 0.5


class RecorderApp(Role):
    """Puts the recorder and its frame together."""

    def __init__(self, settings: Settings) -> None:
        self._metrics = RecorderMetrics()
        super().__init__(
            settings,
            ROLE,
            parts=["clickhouse", "partitions"],
            stuck_after_s=max(60.0, settings.insert_timeout.total_seconds() * 4),
            registry=self._metrics.registry,
        )
        # Rows wait for company in the brokers, where it costs nothing, and not for as long again here.
        pause_between_fetches(self.app, min(settings.linger.total_seconds(), LONGEST_PAUSE_S))
        self._client = connect(settings, timeout_s=settings.insert_timeout.total_seconds() + 5)
        self._topics = [topic_name(kind, prefix=settings.topic_prefix) for kind in EVENT_TYPES]
        self._dead_letters = self.named(DEADLETTER_TOPIC)
        self._recorder = Recorder(
            settings,
            Outside(
                store=ClickHouseRunStore(self._client, cluster=settings.clickhouse_cluster),
                topic_ids=lambda names: topic_admin.topic_ids(settings, names),
                generation=lambda: self.app.consumer_generation_id,
                publish=DeadLetterTopic(self.app, self._dead_letters).publish,
                fail=self.fail,
            ),
            lease=self.lease,
            metrics=self._metrics,
            health=self.health,
        )
        self._reconciler = Reconciler(settings)
        self._lags: dict[TP, Gauge | None] = {}
        self.agent(ROLE, self._topics, self._take)
        self.app.task(self._reconcile)

    def check(self) -> list[str]:
        """Return what is missing before the worker can start: topics, tables, migrations."""
        missing = self.missing_topics([*self._topics, self._dead_letters])
        return missing + check_schema(self._client, self.settings)

    async def assigned(self, generation_id: int, tps: Collection[TP]) -> None:
        """Record these partitions from where their runs end."""
        inputs = [tp for tp in tps if tp.topic in self._topics]
        committed = await committed_offsets(self.app.consumer, inputs)
        wanted = {(tp.topic, tp.partition): committed.get(tp, 0) for tp in inputs}
        self._lags = dict.fromkeys(inputs)
        self.log.info("partitions_assigned", count=len(inputs), generation=generation_id)
        await self._recorder.assign(generation_id, wanted)

    async def revoked(self) -> None:
        """Finish or abandon the insert that runs."""
        self._lags = {}
        self._metrics.recorder_lag_records.clear()
        await self._recorder.revoke()

    async def stopping(self) -> None:
        """Store what was taken in already."""
        stored = await self._recorder.drain(timeout_s=DRAIN_S)
        self.log.info("recorder_drained", complete=stored)

    def watched(self) -> None:
        """Report how far behind the log the stored rows are."""
        consumer = self.app.consumer
        for tp, lag in self._lags.items():
            highwater, committed = consumer.highwater(tp), consumer._committed_offset.get(tp)
            if highwater is None:
                continue  # not 0: nobody can tell
            if lag is None:
                lag = self._metrics.recorder_lag_records.labels(topic=tp.topic, partition=tp.partition)
                self._lags[tp] = lag
            lag.set(max(0, highwater - (committed or 0)))

    async def _take(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        await self._recorder.take(
            batch.generation_id,
            batch.tp.topic,
            batch.tp.partition,
            batch.records,
            ack,
            behind_count=batch.behind_count,
        )

    async def _reconcile(self) -> None:
        await self._reconciler.run(lambda: self.app.should_stop)
