"""From records of the topics to deliveries, each in the partition of the endpoint's owner."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import structlog

from postloop.adapters.clock import utc_now
from postloop.adapters.metrics import WebhookMetrics
from postloop.adapters.webhook_endpoints import owner_partition
from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.blocklist import BlocklistExpireV1, BlocklistInsertV1
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.decode import Limits, decode_batch
from postloop.contracts.events import Event
from postloop.contracts.field_errors import FieldError
from postloop.contracts.fields import milliseconds
from postloop.contracts.reputation import ReputationChangeV1
from postloop.contracts.webhook_delivery import DeliveryV1, deliveries_of, deliveries_to_bytes
from postloop.contracts.webhook_sources import (
    notice_of_alert,
    notice_of_blocklist,
    notice_of_event,
    notice_of_reputation,
)
from postloop.domain.errors import DataError
from postloop.domain.event_types import (
    BLOCKLIST_EXPIRE_TOPIC,
    BLOCKLIST_INSERT_TOPIC,
    DELIVERY_ALERT_TOPIC,
    REPUTATION_CHANGE_TOPIC,
    EventType,
)
from postloop.domain.webhook.bodies import plain_json
from postloop.domain.webhook.matching import Directory
from postloop.domain.webhook.notice import Notice
from postloop_streams.dead_letters import PublishDeadLetters, letter_of, unreadable
from postloop_streams.patience import AbandonedError, Patience

log = structlog.stdlib.get_logger("postloop.webhooks")

# Read at once: reading keeps the loop busy, and heartbeats must go out meanwhile.
_CHUNK: Final = 500
# Bodies in one record of the delivery topic, which takes 1 MB: in JSON inside JSON they grow.
_RECORD_BYTES: Final = 300_000

TYPES_OF_EVENT: Final[dict[EventType, tuple[str, ...]]] = {
    "delivery": ("email.delivered",),
    "bounce": ("email.bounced", "email.delayed"),
    "complaint": ("email.complained",),
    "open": ("email.opened",),
    "unsubscribe": ("email.unsubscribed",),
}
"""What records of an input topic may tell."""
TYPES_OF_OUTPUT: Final[dict[str, str]] = {
    BLOCKLIST_INSERT_TOPIC: "blocklist.inserted",
    BLOCKLIST_EXPIRE_TOPIC: "blocklist.expired",
    REPUTATION_CHANGE_TOPIC: "reputation.changed",
    DELIVERY_ALERT_TOPIC: "delivery.alert",
}


class Record(Protocol):
    """A consumed Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Intake:
    """Matches what happened with those who want to hear of it.

    Attributes:
        partitions: Of the delivery topic; set before the first record.

    Args:
        send: Publishes (partition, value) pairs to the delivery topic; returns when the broker has them.
        dead_letters: Publishes dead letters likewise.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        limits: Limits,
        patience: Patience,
        send: Callable[[Sequence[tuple[int, bytes]]], Awaitable[None]],
        dead_letters: PublishDeadLetters,
        metrics: WebhookMetrics,
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._patience = patience
        self._send = send
        self._dead_letters = dead_letters
        self._metrics = metrics
        self.partitions = 0

    async def events(self, event_type: EventType, records: Sequence[Record]) -> bool:
        """Take in records of an input topic; True once the broker has what they tell.

        What is invalid becomes a dead letter at the recorder and is passed over here.
        """
        for first in range(0, len(records), _CHUNK):
            part = records[first : first + _CHUNK]
            if not self._anybody_hears(TYPES_OF_EVENT[event_type]):
                continue
            batch = decode_batch(
                event_type, [record.value for record in part], now=utc_now(), limits=self._limits
            )
            places = zip(batch.events, batch.records, batch.indexes, strict=True)
            told = (
                (notice, part[place], index)
                for event, place, index in places
                if (notice := self._notice_of_event(event_type, event)) is not None
            )
            if not await self._tell(told):
                return False
            await asyncio.sleep(0)
        return True

    async def outputs(self, topic: str, records: Sequence[Record]) -> bool:
        """Take in records of another role's topic (without prefix); True once the broker has what they tell."""
        if not self._anybody_hears([TYPES_OF_OUTPUT[topic]]):
            return True
        told, letters = [], []
        for record in records:
            try:
                told.append((_notice_of_output(topic, record.value), record, None))
            except ValueError as error:
                letters.append(unreadable(record, error))
        return await self._tell(told, letters)

    async def notice(self, notice: Notice) -> None:
        """Tell something that happened here; it is lost only with the process."""
        deliveries = list(deliveries_of(notice, self._directory, now_ms=milliseconds(utc_now())))
        await self._publish(deliveries, [])

    def _anybody_hears(self, types: Iterable[str]) -> bool:
        return any(self._directory.is_wanted_by_any(name) for name in types)

    def _notice_of_event(self, event_type: EventType, event: Event) -> Notice | None:
        account = event["account_id"]
        if not any(self._directory.is_wanted(name, account) for name in TYPES_OF_EVENT[event_type]):
            return None
        return notice_of_event(event_type, event)

    async def _tell(
        self, told: Iterable[tuple[Notice, Record, int | None]], letters: Sequence[DeadLetterV1] = ()
    ) -> bool:
        deliveries, all_letters = [], list(letters)
        now_ms = milliseconds(utc_now())
        for notice, record, index in told:
            try:
                deliveries += list(deliveries_of(notice, self._directory, now_ms=now_ms))
            except DataError as error:
                why = FieldError(error.code, error.field, str(error))
                all_letters.append(letter_of(record, [why], stage="process", index=index))
        try:
            await self._publish(deliveries, all_letters)
        except AbandonedError:
            return False
        return True

    async def _publish(self, deliveries: Sequence[DeliveryV1], letters: Sequence[DeadLetterV1]) -> None:
        if letters:
            await self._patience(lambda: self._dead_letters(letters))
        if deliveries:
            records = list(records_of(deliveries, partitions=self.partitions))
            await self._patience(lambda: self._send(records))
            for kind, count in Counter(delivery.type for delivery in deliveries).items():
                self._metrics.webhook_deliveries_total.labels(type=kind).inc(count)


def records_of(deliveries: Iterable[DeliveryV1], *, partitions: int) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, value) of records that hold deliveries, each where the endpoint has its owner."""
    waiting: defaultdict[int, list[DeliveryV1]] = defaultdict(list)
    sizes: defaultdict[int, int] = defaultdict(int)
    for delivery in deliveries:
        number = owner_partition(delivery.endpoint_id, partitions)
        size = len(delivery.body.encode())
        if waiting[number] and sizes[number] + size > _RECORD_BYTES:
            yield number, deliveries_to_bytes(waiting.pop(number))
            sizes[number] = 0
        waiting[number].append(delivery)
        sizes[number] += size
    for number, rest in waiting.items():
        yield number, deliveries_to_bytes(rest)


def _notice_of_output(topic: str, value: bytes | None) -> Notice:
    """Return what a record tells.

    Raises:
        ValueError: It is not what the topic holds.
    """
    if topic == BLOCKLIST_INSERT_TOPIC:
        return notice_of_blocklist(BlocklistInsertV1.model_validate_json(value or b""))
    if topic == BLOCKLIST_EXPIRE_TOPIC:
        return notice_of_blocklist(BlocklistExpireV1.model_validate_json(value or b""))
    model = ReputationChangeV1 if topic == REPUTATION_CHANGE_TOPIC else DeliveryAlertV1
    document = model.model_validate_json(value or b"").model_dump(mode="json")
    plain_json(document)  # raises for NaN and for what is infinite: no body can hold them
    return notice_of_reputation(document) if topic == REPUTATION_CHANGE_TOPIC else notice_of_alert(document)
