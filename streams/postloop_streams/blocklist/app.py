"""The blocklist role as a Faust app: one agent routes what happened to its owner, one applies it there."""

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
from postloop.adapters.blocklist_journal import BlocklistJournal
from postloop.adapters.blocklist_policy import RecipientKey, blocklist_policy
from postloop.adapters.blocklist_store import BlocklistReader, BlocklistWriter
from postloop.adapters.clickhouse import connect
from postloop.adapters.health_server import HealthServer, HealthState
from postloop.adapters.metrics import BlocklistMetrics
from postloop.adapters.migrations import check_schema
from postloop.contracts.decode import Limits
from postloop.domain.event_types import (
    BLOCKLIST_CHANGELOG_TOPIC,
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_EVENT_TYPES,
    BLOCKLIST_JOURNALED_TOPICS,
    BLOCKLIST_REPLY_TOPIC,
    BLOCKLIST_SIGNAL_TOPIC,
    BLOCKLIST_STATE_TOPIC,
    DEADLETTER_TOPIC,
    prefixed,
    topic_name,
)
from postloop.settings import Settings
from postloop_streams.app import create_app
from postloop_streams.assignments import end_at_once
from postloop_streams.blocklist.intake import Intake
from postloop_streams.blocklist.joining import Overlap
from postloop_streams.blocklist.journal import JournalWriter
from postloop_streams.blocklist.opening import Opening, open_stores
from postloop_streams.blocklist.owner import Outside, Owner
from postloop_streams.blocklist.publisher import Publisher
from postloop_streams.blocklist.routing import Router
from postloop_streams.recorder.dead_letter_topic import DeadLetterTopic
from postloop_streams.transport import BatchTopic, Lease, RecordBatch, ack, commit_stored

log = structlog.stdlib.get_logger("postloop.blocklist")

ROLE: Final = "blocklist"
_OWN_TOPICS: Final = (
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_SIGNAL_TOPIC,
    *BLOCKLIST_JOURNALED_TOPICS,
    BLOCKLIST_STATE_TOPIC,
    BLOCKLIST_REPLY_TOPIC,
    DEADLETTER_TOPIC,
)
_JOURNAL_STOP_S: Final = 2.0
# Of 1 MB at most each; more would only wait.
_BATCHES_AT_ONCE: Final = 16
_WATCH_EVERY_S: Final = 1.0
_STUCK_AFTER_S: Final = 120.0


class BlocklistApp:
    """Puts the blocklist, Faust, the journal and the health server together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policy = blocklist_policy(settings)
        self._metrics = BlocklistMetrics()
        self._health = HealthState(["kafka", "partitions", "journal"], stuck_after_s=_STUCK_AFTER_S)
        self._health_server = HealthServer(
            self._health, settings.health_host, settings.health_port, self._metrics.registry
        )
        self._lease = Lease(settings.session_timeout.total_seconds())
        self._client = connect(settings)
        self._reader = BlocklistReader(self._client, settings)
        self._partitions = 0
        self._directory = TemporaryDirectory(prefix="postloop-blocklist-")
        self.app = create_app(settings, role=ROLE, data_dir=Path(self._directory.name))
        dead_letters = DeadLetterTopic(self.app, self._named(DEADLETTER_TOPIC)).publish
        self._publisher = Publisher(
            self.app,
            lease=self._lease,
            prefix=settings.topic_prefix,
            dead_letters=dead_letters,
            health=self._health,
        )
        self._owner = Owner(
            Outside(
                open_stores=lambda numbers: open_stores(numbers, self._partitions, self._opening()),
                publish=self._publisher.publish,
                generation=lambda: self.app.consumer_generation_id,
                fail=self._fail,
            ),
            policy=self._policy,
            form=settings.blocklist_recipient_form,
            metrics=self._metrics,
            health=self._health,
        )
        self._intake = Intake(
            Router(
                limits=Limits(retention=settings.raw_retention),
                policy=self._policy,
                key=RecipientKey(settings),
            ),
            publisher=self._publisher,
            owns_domain=self._reader.owns_domain,
            dead_letters=dead_letters,
            signal_topic=self._named(BLOCKLIST_SIGNAL_TOPIC),
            metrics=self._metrics,
        )
        self._journal: JournalWriter | None = None
        self._was_assigned = False
        self._routing = Overlap(_BATCHES_AT_ONCE, fail=self._fail)
        self._applying = Overlap(_BATCHES_AT_ONCE, fail=self._fail)
        self._connect_agents()
        self._connect_signals()

    def check(self) -> list[str]:
        """Return what is missing before the worker can start: topics, tables, migrations."""
        wanted = [*(self._input(kind) for kind in BLOCKLIST_EVENT_TYPES), *map(self._named, _OWN_TOPICS)]
        missing = topic_admin.missing_topics(self._settings, wanted)
        problems = [f"topic {name} does not exist: run `postloop topics create`" for name in missing]
        problems += check_schema(self._client, self._settings)
        return problems or self._check_partitions()

    def _check_partitions(self) -> list[str]:
        """Learn how many partitions there are; the state of an address is where its signals are."""
        names = [self._named(BLOCKLIST_SIGNAL_TOPIC), self._named(BLOCKLIST_CHANGELOG_TOPIC)]
        counts = topic_admin.partition_counts(self._settings, names)
        signals, changelog = (counts[name] for name in names)
        if signals != changelog:
            return [
                f"{names[0]} has {signals} partitions and {names[1]} {changelog}: they must have equally many"
            ]
        self._partitions = signals
        self._intake.partitions = signals
        self._journal = self._make_journal()
        return []

    def _make_journal(self) -> JournalWriter:
        names = [self._named(topic) for topic in BLOCKLIST_JOURNALED_TOPICS]
        return JournalWriter(
            self._settings,
            topic_admin.partition_counts(self._settings, names),
            partitions=self._partitions,
            connect_journal=self._connect_journal,
            metrics=self._metrics,
            health=self._health,
            fail=self._fail,
        )

    def _named(self, topic: str) -> str:
        return prefixed(topic, prefix=self._settings.topic_prefix)

    def _input(self, kind: Any) -> str:
        return topic_name(kind, prefix=self._settings.topic_prefix)

    def _opening(self) -> Opening:
        return Opening(
            settings=self._settings,
            directory=self._settings.data_dir / ROLE,
            topic=self._named(BLOCKLIST_CHANGELOG_TOPIC),
            topic_ids=lambda names: topic_admin.topic_ids(self._settings, names),
            mirror=self._reader,
            publisher=self._publisher,
            policy=self._policy,
        )

    def _connect_journal(self) -> BlocklistJournal:
        client = connect(self._settings, timeout_s=self._settings.insert_timeout.total_seconds() + 5)
        return BlocklistJournal(
            BlocklistWriter(client, cluster=self._settings.clickhouse_cluster),
            prefix=self._settings.topic_prefix,
            form=self._settings.blocklist_recipient_form,
        )

    def _connect_agents(self) -> None:
        inputs = {self._input(kind): kind for kind in BLOCKLIST_EVENT_TYPES}
        commands, signals = self._named(BLOCKLIST_COMMAND_TOPIC), self._named(BLOCKLIST_SIGNAL_TOPIC)

        async def routed(event: Any) -> None:
            batch: RecordBatch = event.value
            if batch.tp.topic == commands:
                done = await self._intake.commands(batch.records)
            else:
                values = [record.value for record in batch.records]
                done = await self._intake.events(inputs[batch.tp.topic], values)
            if done:
                ack(event)

        async def route(stream: Any) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                await self._routing.start(routed(event))
                yield

        async def apply(stream: Any) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                batch: RecordBatch = event.value
                values = [record.value for record in batch.records]
                took = self._owner.take(batch.generation_id, batch.tp.partition, values, partial(ack, event))
                await self._applying.start(took)
                yield

        self.app.agent(self._topic([*inputs, commands]), name="blocklist-route")(route)
        self.app.agent(self._topic([signals]), name="blocklist-apply")(apply)

    def _topic(self, topics: list[str]) -> BatchTopic:
        return BatchTopic(self.app, topics=topics, value_serializer="raw", key_serializer="raw", maxsize=8)

    def _connect_signals(self) -> None:
        self.app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        self.app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self.app.on_before_shutdown.connect(self._on_shutdown, weak=False)
        self.app.task(self._serve_health)
        self.app.task(self._watch)

    async def _on_assigned(self, sender: Any, assigned: set[TP], **_: Any) -> None:
        self._was_assigned = True
        self._lease.watch(self.app.consumer)
        signals = self._named(BLOCKLIST_SIGNAL_TOPIC)
        numbers = [tp.partition for tp in assigned if tp.topic == signals]
        self._health.set("kafka", True)
        log.info("partitions_assigned", count=len(numbers), generation=self.app.consumer_generation_id)
        await self._owner.assign(self.app.consumer_generation_id, numbers)
        if self._journal is not None:
            self._journal.assign(numbers)

    async def _on_revoked(self, sender: Any, revoked: set[TP], **_: Any) -> None:
        self._health.set("kafka", False, "rebalancing")
        await self._owner.revoke()
        await commit_stored(self.app.consumer)

    async def _on_shutdown(self, sender: Any, **_: Any) -> None:
        await self._owner.revoke()
        self._publisher.is_stopped = True
        if self._was_assigned:
            await commit_stored(self.app.consumer)
        if self._journal is not None:
            await asyncio.to_thread(self._journal.stop, timeout_s=_JOURNAL_STOP_S)
        await self._health_server.stop()

    async def _serve_health(self) -> None:
        await self._health_server.start()
        if self._journal is not None:
            self._journal.start()
        log.info("health_serving", port=self._health_server.port)

    async def _watch(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(_WATCH_EVERY_S)
            if self._was_assigned:
                answered = self._lease.left_s() > 0
                self._health.set("kafka", answered, "no heartbeat was answered for the session timeout")

    def _fail(self, reason: str) -> None:
        end_at_once(log, "blocklist_stopped", reason=reason)
