"""The blocklist role: one agent routes what happened to its owner, one applies it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from faust.types import TP

from postloop.adapters import topic_admin
from postloop.adapters.blocklist_journal import BlocklistJournal
from postloop.adapters.blocklist_policy import RecipientKey, blocklist_policy, guard_policy
from postloop.adapters.blocklist_store import BlocklistReader, BlocklistWriter
from postloop.adapters.clickhouse import connect
from postloop.adapters.dead_letter_journal import DeadLetterJournal
from postloop.adapters.metrics import BlocklistMetrics
from postloop.adapters.migrations import check_schema
from postloop.contracts.decode import Limits
from postloop.domain.errors import DataError
from postloop.domain.event_types import (
    BLOCKLIST_CHANGELOG_TOPIC,
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_EVENT_TYPES,
    BLOCKLIST_JOURNALED_TOPICS,
    BLOCKLIST_REPLY_TOPIC,
    BLOCKLIST_SIGNAL_TOPIC,
    BLOCKLIST_STATE_TOPIC,
    EventType,
    topic_name,
)
from postloop.domain.incident import DEFAULT_GUARD_POLICY
from postloop.settings import Settings
from postloop_streams.blocklist.intake import Intake
from postloop_streams.blocklist.opening import Opening, open_stores
from postloop_streams.blocklist.owner import Outside, Owner
from postloop_streams.blocklist.publisher import Publisher
from postloop_streams.blocklist.routing import Router
from postloop_streams.dead_letters import unreadable
from postloop_streams.joining import Overlap
from postloop_streams.journal import JournalWriter
from postloop_streams.role import Role
from postloop_streams.transport import RecordBatch

ROLE: Final = "blocklist"
JOURNAL: Final = "blocklist-journal"
_OWN_TOPICS: Final = (
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_SIGNAL_TOPIC,
    *BLOCKLIST_JOURNALED_TOPICS,
    BLOCKLIST_STATE_TOPIC,
    BLOCKLIST_REPLY_TOPIC,
)
_JOURNAL_STOP_S: Final = 2.0
# Of 1 MB at most each; more would only wait.
_BATCHES_AT_ONCE: Final = 16
_COUNTS_EVERY_S: Final = 1.0
_STUCK_AFTER_S: Final = 120.0


class BlocklistApp(Role):
    """Puts the blocklist, its journal and its frame together."""

    def __init__(self, settings: Settings) -> None:
        self._metrics = BlocklistMetrics()
        super().__init__(
            settings,
            ROLE,
            parts=["partitions", "journal"],
            stuck_after_s=_STUCK_AFTER_S,
            registry=self._metrics.registry,
        )
        self._policy = blocklist_policy(settings)
        self._guard = guard_policy(settings)
        self._client = connect(settings)
        self._reader = BlocklistReader(self._client, settings)
        self._partitions = 0
        self._dead_letters = self.journaled_dead_letters(self._metrics.dead_letters_total)
        self._publisher = Publisher(
            self.app,
            lease=self.lease,
            prefix=settings.topic_prefix,
            dead_letters=self._dead_letters,
            health=self.health,
        )
        self._owner = self._make_owner()
        self._intake = self._make_intake()
        self._journal: JournalWriter | None = None
        self._routing = Overlap(_BATCHES_AT_ONCE, fail=self.fail)
        self._applying = Overlap(_BATCHES_AT_ONCE, fail=self.fail)
        self._inputs = {self._input(kind): kind for kind in BLOCKLIST_EVENT_TYPES}
        self._commands, self._signals = map(self.named, (BLOCKLIST_COMMAND_TOPIC, BLOCKLIST_SIGNAL_TOPIC))
        self.agent("blocklist-route", [*self._inputs, self._commands], self._route)
        self.agent("blocklist-apply", [self._signals], self._apply)
        if self._guard is not None:
            self.app.task(self._tell_counts)

    def _make_owner(self) -> Owner:
        return Owner(
            Outside(
                open_stores=lambda numbers: open_stores(numbers, self._partitions, self._opening()),
                publish=self._publisher.publish,
                generation=lambda: self.app.consumer_generation_id,
                fail=self.fail,
            ),
            policy=self._policy,
            guard=self._guard,
            form=self.settings.blocklist_recipient_form,
            metrics=self._metrics,
            health=self.health,
        )

    def _make_intake(self) -> Intake:
        return Intake(
            Router(
                limits=Limits(retention=self.settings.raw_retention),
                policy=self._policy,
                key=RecipientKey(self.settings),
            ),
            publisher=self._publisher,
            owns_domain=self._reader.owns_domain,
            dead_letters=self._dead_letters,
            signal_topic=self.named(BLOCKLIST_SIGNAL_TOPIC),
            metrics=self._metrics,
            is_guarded=self._guard is not None,
        )

    def check(self) -> list[str]:
        """Return what is missing before the worker can start: topics, tables, migrations."""
        problems = self.missing_topics([*self._inputs, *map(self.named, _OWN_TOPICS)])
        problems += check_schema(self._client, self.settings)
        return problems or self._check_partitions()

    def _check_partitions(self) -> list[str]:
        """Learn how many partitions there are; the state of an address is where its signals are."""
        names = [self.named(BLOCKLIST_SIGNAL_TOPIC), self.named(BLOCKLIST_CHANGELOG_TOPIC)]
        counts = topic_admin.partition_counts(self.settings, names)
        signals, changelog = (counts[name] for name in names)
        if signals != changelog:
            return [
                f"{names[0]} has {signals} partitions and {names[1]} {changelog}: they must have equally many"
            ]
        self._partitions = signals
        self._intake.partitions = self._publisher.partitions = signals
        self._journal = self._make_journal()
        return []

    def _make_journal(self) -> JournalWriter:
        names = [self.named(topic) for topic in BLOCKLIST_JOURNALED_TOPICS]
        return JournalWriter(
            self.settings,
            topic_admin.partition_counts(self.settings, names),
            name=JOURNAL,
            partitions=self._partitions,
            is_urgent=lambda: self._owner.has_due_leases,
            connect_journal=self._connect_journal,
            refuse=self.from_thread(self._dead_letters),
            unstored_rows=self._metrics.blocklist_journal_unstored_rows,
            health=self.health,
            fail=self.fail,
        )

    def _input(self, kind: EventType) -> str:
        return topic_name(kind, prefix=self.settings.topic_prefix)

    def _opening(self) -> Opening:
        return Opening(
            settings=self.settings,
            directory=self.settings.data_dir / ROLE,
            topic=self.named(BLOCKLIST_CHANGELOG_TOPIC),
            topic_ids=lambda names: topic_admin.topic_ids(self.settings, names),
            mirror=self._reader,
            publisher=self._publisher,
            policy=self._policy,
            guard=self._guard or DEFAULT_GUARD_POLICY,
        )

    def _connect_journal(self) -> DeadLetterJournal:
        client = connect(self.settings, timeout_s=self.settings.insert_timeout.total_seconds() + 5)
        prefix, cluster = self.settings.topic_prefix, self.settings.clickhouse_cluster
        inner = BlocklistJournal(
            BlocklistWriter(client, cluster=cluster),
            prefix=prefix,
            form=self.settings.blocklist_recipient_form,
        )
        return DeadLetterJournal(inner, client, prefix=prefix, cluster=cluster)

    async def _route(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        await self._routing.start(self._routed(batch, ack))

    async def _routed(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        if batch.tp.topic == self._commands:
            done = await self._intake.commands(batch.records)
        else:
            kind = self._inputs[batch.tp.topic]
            done = await self._intake.events(kind, batch.records, behind_count=batch.behind_count)
        if done:
            ack()

    async def _apply(self, batch: RecordBatch, ack: Callable[[], Any]) -> None:
        values = [record.value for record in batch.records]

        async def refuse(refused: Sequence[tuple[int, DataError]]) -> None:
            letters = [unreadable(batch.records[place], error) for place, error in refused]
            await self._publisher.refuse(letters)

        taking = self._owner.take(batch.generation_id, batch.tp.partition, values, ack, refuse=refuse)
        await self._applying.start(taking)

    def started(self) -> None:
        """Start the journal."""
        if self._journal is not None:
            self._journal.start()

    async def assigned(self, generation_id: int, tps: Collection[TP]) -> None:
        """Own the addresses of these partitions, and journal what belongs to them."""
        numbers = [tp.partition for tp in tps if tp.topic == self._signals]
        self.log.info("partitions_assigned", count=len(numbers), generation=generation_id)
        deliveries = self._input("delivery")
        self._intake.assign([tp.partition for tp in tps if tp.topic == deliveries])
        await self._owner.assign(generation_id, numbers)
        if self._journal is not None:
            self._journal.assign(numbers)

    async def revoked(self) -> None:
        """Close the partitions; what is under way is finished or left to the next owner."""
        await self._owner.revoke()

    async def stopped(self) -> None:
        """Let the journal store what it has read."""
        self._publisher.stop()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.stop, timeout_s=_JOURNAL_STOP_S)

    async def _tell_counts(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(_COUNTS_EVERY_S)
            await self._intake.tell_counts()
