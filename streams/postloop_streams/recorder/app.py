"""The recorder as a Faust app: one agent over all input topics, its own consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import structlog
from faust.types import TP

from postloop.adapters import topic_admin
from postloop.adapters.clickhouse import connect
from postloop.adapters.health_server import HealthServer, HealthState
from postloop.adapters.metrics import RecorderMetrics
from postloop.adapters.migrations import check_schema
from postloop.adapters.run_store import ClickHouseRunStore
from postloop.domain.event_types import DEADLETTER_TOPIC, EVENT_TYPES, prefixed, topic_name
from postloop.settings import Settings
from postloop_streams.app import create_app
from postloop_streams.assignments import end_at_once
from postloop_streams.recorder.dead_letter_topic import DeadLetterTopic
from postloop_streams.recorder.reconciler import Reconciler
from postloop_streams.recorder.recorder import Outside, Recorder
from postloop_streams.transport import (
    BatchTopic,
    Lease,
    RecordBatch,
    ack,
    commit_stored,
    committed_offsets,
)

log = structlog.stdlib.get_logger("postloop.recorder")

# What a stopping worker takes to store what it already took in. Seconds.
DRAIN_S: Final = 3.0
# Fetched lists that wait for the agent; more would only wait, and take memory.
_QUEUED_BATCHES: Final = 2
_LAG_EVERY_S: Final = 5.0


class RecorderApp:
    """Puts the recorder, Faust and the health server together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = RecorderMetrics()
        self._health = HealthState(
            ["kafka", "clickhouse", "partitions"],
            stuck_after_s=max(60.0, settings.insert_timeout.total_seconds() * 4),
        )
        self._health_server = HealthServer(
            self._health, settings.health_host, settings.health_port, self._metrics.registry
        )
        self._lease = Lease(settings.session_timeout.total_seconds())
        client = connect(settings, timeout_s=settings.insert_timeout.total_seconds() + 5)
        self._client = client
        self._topics = [topic_name(kind, prefix=settings.topic_prefix) for kind in EVENT_TYPES]
        self._dead_letters = prefixed(DEADLETTER_TOPIC, prefix=settings.topic_prefix)
        # Faust wants a directory even where no table is kept.
        self._directory = TemporaryDirectory(prefix="postloop-recorder-")
        self.app = create_app(settings, role="recorder", data_dir=Path(self._directory.name))
        self._recorder = Recorder(
            settings,
            Outside(
                store=ClickHouseRunStore(client, cluster=settings.clickhouse_cluster),
                topic_ids=lambda names: topic_admin.topic_ids(settings, names),
                generation=lambda: self.app.consumer_generation_id,
                publish=DeadLetterTopic(self.app, self._dead_letters).publish,
                fail=self._fail,
            ),
            lease=self._lease,
            metrics=self._metrics,
            health=self._health,
        )
        self._reconciler = Reconciler(settings)
        self._was_assigned = False
        self._connect_agent()
        self._connect_signals()

    def check(self) -> list[str]:
        """Return what is missing before the worker can start: topics, tables, migrations."""
        missing = topic_admin.missing_topics(self._settings, [*self._topics, self._dead_letters])
        problems = [f"topic {name} does not exist: run `postloop topics create`" for name in missing]
        return problems + check_schema(self._client, self._settings)

    def _connect_agent(self) -> None:
        topic = BatchTopic(
            self.app, topics=self._topics, value_serializer="raw", key_serializer="raw", maxsize=8
        )

        async def record(stream: Any) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                batch: RecordBatch = event.value
                await self._recorder.take(
                    batch.generation_id,
                    batch.tp.topic,
                    batch.tp.partition,
                    batch.records,
                    partial(ack, event),
                    behind_count=batch.behind_count,
                )
                yield

        self.app.agent(topic, name="recorder")(record)

    def _connect_signals(self) -> None:
        self.app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        self.app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self.app.on_before_shutdown.connect(self._on_shutdown, weak=False)
        self.app.task(self._serve_health)
        self.app.task(self._watch_lag)
        self.app.task(self._reconcile)

    async def _on_assigned(self, sender: Any, assigned: set[TP], **_: Any) -> None:
        consumer = self.app.consumer
        self._was_assigned = True
        self._lease.watch(consumer)
        tps = [tp for tp in assigned if tp.topic in self._topics]
        committed = await committed_offsets(consumer, tps)
        wanted = {(tp.topic, tp.partition): committed.get(tp, 0) for tp in tps}
        self._health.set("kafka", True)
        log.info("partitions_assigned", count=len(tps), generation=self.app.consumer_generation_id)
        await self._recorder.assign(self.app.consumer_generation_id, wanted)

    async def _on_revoked(self, sender: Any, revoked: set[TP], **_: Any) -> None:
        self._health.set("kafka", False, "rebalancing")
        await self._recorder.revoke()
        await commit_stored(self.app.consumer)

    async def _on_shutdown(self, sender: Any, **_: Any) -> None:
        stored = await self._recorder.drain(timeout_s=DRAIN_S)
        log.info("recorder_drained", complete=stored)
        await self._recorder.revoke()
        if self._was_assigned:
            await commit_stored(self.app.consumer)
        await self._health_server.stop()

    async def _serve_health(self) -> None:
        await self._health_server.start()
        log.info("health_serving", port=self._health_server.port)

    async def _watch_lag(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(_LAG_EVERY_S)
            if self._was_assigned:
                answered = self._lease.left_s() > 0
                self._health.set("kafka", answered, "no heartbeat was answered for the session timeout")
                self._report_lag()

    def _report_lag(self) -> None:
        consumer = self.app.consumer
        for tp in consumer.assignment():
            highwater, committed = consumer.highwater(tp), consumer._committed_offset.get(tp)
            if highwater is not None:
                self._metrics.recorder_lag_records.labels(topic=tp.topic, partition=tp.partition).set(
                    max(0, highwater - (committed or 0))
                )

    async def _reconcile(self) -> None:
        await self._reconciler.run(lambda: self.app.should_stop)

    def _fail(self, reason: str) -> None:
        end_at_once(log, "recorder_stopped", reason=reason)
