"""The webhooks role: one agent matches what happened with endpoints, one keeps what their owner must deliver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from faust.types import TP

from postloop.adapters import clock, topic_admin
from postloop.adapters.clickhouse import connect
from postloop.adapters.dead_letter_journal import DeadLetterJournal
from postloop.adapters.metrics import WebhookMetrics
from postloop.adapters.migrations import check_schema
from postloop.adapters.secret_box import SecretBoxError
from postloop.adapters.webhook_endpoints import StoredEndpoints
from postloop.adapters.webhook_http import WebhookSender
from postloop.adapters.webhook_master_key import secret_box
from postloop.adapters.webhook_store import WebhookJournal, WebhookMirror
from postloop.contracts.decode import Limits
from postloop.contracts.webhook_attempt import AttemptLogV1
from postloop.contracts.webhook_endpoint import endpoint_to_bytes
from postloop.domain.errors import DataError
from postloop.domain.event_types import (
    DEADLETTER_TOPIC,
    WEBHOOK_ATTEMPT_TOPIC,
    WEBHOOK_CHANGELOG_TOPIC,
    WEBHOOK_DELIVERY_TOPIC,
    WEBHOOK_ENDPOINT_TOPIC,
    WEBHOOK_EVENT_TYPES,
    WEBHOOK_JOURNALED_TOPICS,
    WEBHOOK_SOURCE_TOPICS,
    topic_name,
)
from postloop.domain.roles import WEBHOOKS
from postloop.domain.webhook.dispatch import Slots
from postloop.domain.webhook.endpoint import DisableCause
from postloop.domain.webhook.notices import disabled_notice
from postloop.domain.webhook.transitions import EndpointDisabled, moved
from postloop.settings import Settings, SettingsError
from postloop_streams.joining import Overlap
from postloop_streams.journal import JournalWriter
from postloop_streams.patience import Patience
from postloop_streams.producing import ToPublish, publish, publish_many
from postloop_streams.role import Role
from postloop_streams.transport import RecordBatch, committed_offsets
from postloop_streams.webhooks.directory import EndpointBook, EndpointFollower, load_endpoints
from postloop_streams.webhooks.intake import Intake
from postloop_streams.webhooks.logbook import log_records
from postloop_streams.webhooks.opening import Opening, open_queues
from postloop_streams.webhooks.owner import Outside, Owner
from postloop_streams.webhooks.sending import Attempts

JOURNAL: Final = "webhooks-journal"
_OWN_TOPICS: Final = (
    WEBHOOK_ENDPOINT_TOPIC,
    WEBHOOK_DELIVERY_TOPIC,
    WEBHOOK_CHANGELOG_TOPIC,
    WEBHOOK_ATTEMPT_TOPIC,
    DEADLETTER_TOPIC,
)
_JOURNAL_STOP_S: Final = 2.0
_BATCHES_AT_ONCE: Final = 16
_STUCK_AFTER_S: Final = 120.0


class WebhooksApp(Role):
    """Puts the webhooks, their journal and their frame together."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._box = secret_box(settings)
        except SecretBoxError as error:
            raise SettingsError(str(error)) from None
        self._metrics = WebhookMetrics()
        super().__init__(
            settings,
            WEBHOOKS,
            parts=["partitions", "journal"],
            stuck_after_s=_STUCK_AFTER_S,
            registry=self._metrics.registry,
        )
        self._client = connect(settings)
        self._book = EndpointBook(self._box)
        self._stored = StoredEndpoints()
        self._patience = Patience(lease=self.lease, health=self.health)
        self._dead_letters = self.journaled_dead_letters(self._metrics.dead_letters_total)
        self._inputs = {topic_name(kind, prefix=settings.topic_prefix): kind for kind in WEBHOOK_EVENT_TYPES}
        self._outputs = {self.named(topic): topic for topic in WEBHOOK_SOURCE_TOPICS}
        self._deliveries, self._changelog = map(self.named, (WEBHOOK_DELIVERY_TOPIC, WEBHOOK_CHANGELOG_TOPIC))
        self._intake = Intake(
            self._book.directory,
            limits=Limits(retention=settings.raw_retention),
            patience=self._patience,
            send=self._send_deliveries,
            dead_letters=self._dead_letters,
            metrics=self._metrics,
        )
        self._owner = Owner(
            self._outside(), self._book, slots=Slots(), metrics=self._metrics, health=self.health
        )
        self._journal: JournalWriter | None = None
        self._follower: EndpointFollower | None = None
        self._matching = Overlap(_BATCHES_AT_ONCE, fail=self.fail)
        self.agent("webhooks-match", [*self._inputs, *self._outputs], self._match)
        self.agent("webhooks-keep", [self._deliveries], self._keep)

    def _outside(self) -> Outside:
        return Outside(
            open_queues=lambda committed: open_queues(committed, self._opening()),
            committed=self._committed,
            write=self._write_changelog,
            tell=self._tell,
            disable=self._disable,
            refuse=self._dead_letters,
            patience=lambda: Patience(lease=self.lease, health=self.health),
            generation=lambda: self.app.consumer_generation_id,
            fail=self.fail,
        )

    def _opening(self) -> Opening:
        return Opening(
            settings=self.settings,
            directory=self.settings.data_dir / WEBHOOKS,
            topics=(self._deliveries, self._changelog),
            topic_ids=lambda names: topic_admin.topic_ids(self.settings, names),
            write=self._append_changelog,
            refuse=self._dead_letters,
            patience=self._patience,
        )

    # -- start -------------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return what is missing before the worker can start; what is there is learnt: partitions, endpoints."""
        problems = self.missing_topics([*self._inputs, *self._outputs, *map(self.named, _OWN_TOPICS)])
        problems += check_schema(self._client, self.settings)
        return problems or self._check_partitions() or self._load()

    def _check_partitions(self) -> list[str]:
        counts = topic_admin.partition_counts(self.settings, [self._deliveries, self._changelog])
        deliveries, changelog = counts[self._deliveries], counts[self._changelog]
        if deliveries != changelog:
            return [
                f"{self._deliveries} has {deliveries} partitions and {self._changelog} {changelog}: "
                "they must have equally many"
            ]
        self._intake.partitions = deliveries
        names = [self.named(topic) for topic in WEBHOOK_JOURNALED_TOPICS]
        self._journal = JournalWriter(
            self.settings,
            topic_admin.partition_counts(self.settings, names),
            name=JOURNAL,
            partitions=deliveries,
            connect_journal=self._connect_journal,
            refuse=self.from_thread(self._dead_letters),
            unstored_rows=self._metrics.webhook_journal_unstored_rows,
            health=self.health,
            fail=self.fail,
        )
        return []

    def _load(self) -> list[str]:
        mirror = WebhookMirror(self._client, cluster=self.settings.clickhouse_cluster)
        self._stored, restored = load_endpoints(self.settings, mirror)
        try:
            self._book.fill(self._stored)
        except SecretBoxError as error:
            raise SettingsError(str(error)) from None
        self._metrics.webhook_restored_endpoints.set(restored)
        self._metrics.webhook_endpoints.set(len(self._stored.values))
        self.log.info("endpoints_loaded", count=len(self._stored.values), restored=restored)
        return []

    def _connect_journal(self) -> DeadLetterJournal:
        client = connect(self.settings, timeout_s=self.settings.insert_timeout.total_seconds() + 5)
        prefix, cluster = self.settings.topic_prefix, self.settings.clickhouse_cluster
        inner = WebhookJournal(client, prefix=prefix, cluster=cluster)
        return DeadLetterJournal(inner, client, prefix=prefix, cluster=cluster)

    def started(self) -> None:
        """Start the journal, follow the endpoints, open what sends."""
        loop = asyncio.get_running_loop()

        def take(name: str, value: bytes | None) -> None:
            loop.call_soon_threadsafe(self._take_endpoint, name, value)

        self._owner.attempts = Attempts(WebhookSender())
        self._follower = EndpointFollower(
            self.settings,
            self.named(WEBHOOK_ENDPOINT_TOPIC),
            self._stored.positions,
            take=take,
            fail=self.fail,
        )
        self._follower.start()
        if self._journal is not None:
            self._journal.start()

    def _take_endpoint(self, name: str, value: bytes | None) -> None:
        self._book.take(name, value)
        self._metrics.webhook_endpoints.set(len(self._book.directory.all()))

    # -- partitions --------------------------------------------------------------------------------------------

    async def assigned(self, generation_id: int, tps: Collection[TP]) -> None:
        """Own the endpoints of these partitions, and journal what belongs to them."""
        numbers = [tp.partition for tp in tps if tp.topic == self._deliveries]
        self.log.info("partitions_assigned", count=len(numbers), generation=generation_id)
        await self._owner.assign(generation_id, numbers)
        if self._journal is not None:
            self._journal.assign(numbers)

    async def revoked(self) -> None:
        """Settle everything and close the files."""
        await self._owner.revoke()

    async def stopped(self) -> None:
        """Let the journal store what it has read."""
        self._patience.is_stopped = True
        if self._follower is not None:
            self._follower.stop()
        if self._owner.attempts is not None:
            await self._owner.attempts.close()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.stop, timeout_s=_JOURNAL_STOP_S)

    async def _match(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        await self._matching.start(self._matched(batch, ack))

    async def _matched(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        kind = self._inputs.get(batch.tp.topic)
        if kind is not None:
            done = await self._intake.events(kind, batch.records)
        else:
            done = await self._intake.outputs(self._outputs[batch.tp.topic], batch.records)
        if done:
            ack()

    async def _keep(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        try:
            await self._owner.take(batch.generation_id, batch.tp.partition, batch.records, ack)
        except Exception as error:  # a full disk, a fault of ours: nothing may be acked after it
            self.log.exception("deliveries_failed")
            self.fail(f"{type(error).__name__}: {error}")

    # -- publishing --------------------------------------------------------------------------------------------

    async def _committed(self, numbers: Collection[int]) -> dict[int, int]:
        tps = [TP(self._deliveries, number) for number in numbers]
        found = await committed_offsets(self.app.consumer, tps)
        return {tp.partition: offset for tp, offset in found.items()}

    async def _send_deliveries(self, records: Sequence[tuple[int, bytes]]) -> None:
        await publish_many(
            self.app, [ToPublish(self._deliveries, None, value, number) for number, value in records]
        )

    async def _write_changelog(self, number: int, records: Sequence[tuple[str, bytes | None]]) -> None:
        await publish_many(
            self.app, [ToPublish(self._changelog, key.encode(), value, number) for key, value in records]
        )

    async def _append_changelog(self, number: int, key: str, value: bytes) -> int:
        (answer,) = await publish(self.app, [ToPublish(self._changelog, key.encode(), value, number)])
        return int(answer.offset)

    async def _tell(self, logs: Sequence[AttemptLogV1]) -> None:
        topic = self.named(WEBHOOK_ATTEMPT_TOPIC)
        values = [value for entry in logs for value in log_records(entry)]
        await publish(self.app, [ToPublish(topic, None, value) for value in values])

    async def _disable(self, endpoint_id: str, cause: DisableCause) -> None:
        """Tell those who hear of it that an endpoint is disabled, and write it down.

        In this order: a worker that ends between the two finds the endpoint active, and does both again under the same
        ids. The other way round nobody would ever be told.
        """
        before = self._book.directory.get(endpoint_id)
        if before is None or before.state == "disabled":
            return
        now_ms = clock.now_ms()
        try:
            after = moved(before, "disable", now_ms=now_ms, cause=cause)
        except DataError:
            return
        self._book.directory.put(after)
        await self._intake.notice(disabled_notice(EndpointDisabled(endpoint=after, at_ms=now_ms)))
        value = endpoint_to_bytes(after, seal=self._box.seal)
        topic = self.named(WEBHOOK_ENDPOINT_TOPIC)
        await self._patience(lambda: publish(self.app, [ToPublish(topic, endpoint_id.encode(), value)]))
        self._metrics.webhook_disabled_total.labels(cause=cause).inc()
        self.log.warning("endpoint_disabled", endpoint_id=endpoint_id, cause=cause)
