"""Publishing what the blocklist decided: outputs first, then its own changelog, all acknowledged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import faust

from postloop.adapters.clock import utc_now
from postloop.adapters.health_server import HealthState
from postloop.adapters.partition_store import Item
from postloop.contracts.blocklist_state import signals_to_bytes
from postloop.contracts.changelog import RESTORED_HEADER
from postloop.contracts.deadletter import DeadLetterV1, dead_letter
from postloop.contracts.field_errors import FieldError
from postloop.domain.blocklist import Signal
from postloop.domain.event_types import BLOCKLIST_CHANGELOG_TOPIC, BLOCKLIST_SIGNAL_TOPIC, prefixed
from postloop_streams.blocklist.work import Outgoing, Work
from postloop_streams.patience import Patience
from postloop_streams.producing import ToPublish, key_of, publish, publish_many
from postloop_streams.transport import Lease

_TRACEBACK_CHARS: Final = 4_000
# A number that fits into a signed column of 64 bits.
_PLACE_BYTES: Final = 7


class Publisher:
    """Sends records through the app's own producer.

    Attributes:
        partitions: Of the topic of signals; set before the first signal is applied.

    Args:
        lease: How long this worker surely owns its partitions.
        prefix: Of every topic.
        dead_letters: Publishes dead letters, acknowledged.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        lease: Lease,
        prefix: str,
        dead_letters: Callable[[Sequence[DeadLetterV1]], Any],
        health: HealthState,
    ) -> None:
        self._app = app
        self._patience = Patience(lease=lease, health=health)
        self._prefix = prefix
        self._dead_letters = dead_letters
        self._changelog = prefixed(BLOCKLIST_CHANGELOG_TOPIC, prefix=prefix)
        self._signals = prefixed(BLOCKLIST_SIGNAL_TOPIC, prefix=prefix)
        self.partitions = 0

    async def publish(self, partition: int, work: Work) -> None:
        """Return when every record of the work is acknowledged; a repeat publishes the same ids.

        Raises:
            AbandonedError: The worker stops meanwhile.
        """
        await self.patiently(lambda: self._publish(partition, work))

    async def _publish(self, partition: int, work: Work) -> None:
        if work.failures:
            await self._dead_letters(
                [_failed(self._signals, partition, *failure) for failure in work.failures]
            )
        await self.send(work.outgoing)
        if work.to_all:
            value = signals_to_bytes(work.to_all)
            await self.send_to_partitions(self._signals, [(n, value) for n in range(self.partitions)])
        await publish_many(self._app, self._changes(partition, work.items.values()))

    async def fill(self, partition: int, outgoing: Sequence[Outgoing], items: Sequence[Item]) -> None:
        """Publish records, and then items to the changelog as what came from ClickHouse.

        Raises:
            AbandonedError: The worker stops meanwhile.
        """
        await self.patiently(lambda: self._fill(partition, outgoing, items))

    async def _fill(self, partition: int, outgoing: Sequence[Outgoing], items: Sequence[Item]) -> None:
        await self.send(outgoing)
        await publish_many(self._app, self._changes(partition, items, RESTORED_HEADER))

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Publish records by their keys, in order; return when all are acknowledged."""
        topics = {
            topic: prefixed(topic, prefix=self._prefix) for topic in {record.topic for record in records}
        }
        await publish_many(
            self._app,
            [ToPublish(topics[record.topic], key_of(record.key), record.value) for record in records],
        )

    async def send_to_partitions(self, topic: str, records: Sequence[tuple[int, bytes]]) -> None:
        """Publish values to partitions of a topic (with its prefix); return when all are acknowledged."""
        await publish_many(
            self._app, [ToPublish(topic, None, value, partition) for partition, value in records]
        )

    async def refuse(self, letters: Sequence[DeadLetterV1]) -> None:
        """Return when dead letters are acknowledged.

        Raises:
            AbandonedError: The worker stops meanwhile.
        """
        await self.patiently(lambda: self._dead_letters(letters))

    async def write_changelog(self, partition: int, key: str, value: bytes | None) -> int:
        """Append one record to the changelog and return its offset."""
        (answer,) = await publish(self._app, self._changes(partition, [Item(key, value)]))
        return int(answer.offset)

    def _changes(
        self, partition: int, items: Iterable[Item], *headers: tuple[str, bytes]
    ) -> Iterator[ToPublish]:
        for item in items:
            yield ToPublish(self._changelog, key_of(item.key), item.value, partition, headers)

    async def patiently(self, attempt: Callable[[], Any]) -> Any:
        """Try until it succeeds; return what the attempt returned.

        Raises:
            AbandonedError: The worker stops meanwhile.
        """
        return await self._patience(attempt)

    def stop(self) -> None:
        """Begin nothing any more."""
        self._patience.is_stopped = True


def _failed(topic: str, partition: int, signal: Signal, trace: str) -> DeadLetterV1:
    """Return the dead letter of a signal on which the rules failed.

    Signals share records, so its place is made of its bytes: the same signal has the same id however often it is tried.
    """
    value = signals_to_bytes([signal])
    return dead_letter(
        topic_id="",
        topic=topic,
        partition=partition,
        offset=int.from_bytes(hashlib.sha256(value).digest()[:_PLACE_BYTES], "big"),
        index=None,
        key=None,
        value=value,
        stage="process",
        errors=(FieldError("failed", "", trace[-_TRACEBACK_CHARS:]),),
        at=utc_now(),
    )
