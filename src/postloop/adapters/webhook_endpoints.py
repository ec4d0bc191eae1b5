"""The topics of the webhooks role from outside: endpoints read and written, deliveries and commands handed over."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.changelog_reader import Change, read_changelog
from postloop.adapters.kafka_producer import ConnectedProducer
from postloop.adapters.kafka_security import kafka_translated
from postloop.contracts.webhook_endpoint import MARKER_KEY, NO_ENDPOINT, RESTORED_KEY, read_endpoint
from postloop.domain.errors import DataError
from postloop.domain.event_types import WEBHOOK_DELIVERY_TOPIC, WEBHOOK_ENDPOINT_TOPIC, prefixed
from postloop.settings import Settings

_ACK_TIMEOUT_S: Final = 30


@dataclass
class StoredEndpoints:
    """What the topic of endpoints held.

    Attributes:
        values: Id of each endpoint that is not removed -> its record.
        removed: Ids of those that were, as far as the topic still tells.
        unreadable: Ids under which something stood that is no endpoint. What was known before stays in force.
        is_whole: The topic has been filled once; else it may be that of a broker that came back empty.
        positions: Partition -> where to read on.
    """

    values: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    is_whole: bool = False
    positions: dict[int, int] = field(default_factory=dict)

    def take(self, partition: int, changes: Sequence[Change]) -> None:
        """Take in the next records of a partition."""
        for change in changes:
            if change.key == RESTORED_KEY:
                self.is_whole = True
            elif change.key not in NO_ENDPOINT:
                self._take(change.key, change.value)
        self.positions[partition] = max(self.positions.get(partition, 0), changes[-1].offset + 1)

    def _take(self, name: str, value: bytes | None) -> None:
        if value is None:
            self.values.pop(name, None)
            self.removed.add(name)
            return
        try:
            read_endpoint(value)
        except DataError:
            self.unreadable.add(name)
        else:
            self.values[name] = value
            self.removed.discard(name)


def owner_partition(endpoint_id: str, partitions: int) -> int:
    """Return the partition of deliveries and changelog in which an endpoint has its owner."""
    return recipient_hash(endpoint_id) % partitions


class WebhookTopics(ConnectedProducer):
    """Reads and writes endpoints, and reaches the owners of endpoints. A context manager.

    Raises:
        UnavailableError: No broker answers.
        RefusedError: It refuses, or a topic does not exist.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._endpoints, self._deliveries = (
            prefixed(topic, prefix=settings.topic_prefix)
            for topic in (WEBHOOK_ENDPOINT_TOPIC, WEBHOOK_DELIVERY_TOPIC)
        )
        try:
            self.require_topics([self._endpoints, self._deliveries])
        except BaseException:
            self.close()
            raise

    def read(self) -> StoredEndpoints:
        """Return all endpoints, up to markers of our own: a broker's word on where a topic ends may be too small."""
        marker = json.dumps({"marker": uuid.uuid4().hex}).encode()
        with kafka_translated(self._where):
            sent = {
                number: self._producer.send(
                    self._endpoints, key=MARKER_KEY.encode(), value=marker, partition=number
                )
                for number in range(self._partitions[self._endpoints])
            }
            ends = {number: future.get(timeout=_ACK_TIMEOUT_S).offset for number, future in sent.items()}
        stored = StoredEndpoints()
        read_changelog(self._settings, self._endpoints, {n: (0, end) for n, end in ends.items()}, stored.take)
        return stored

    def write(self, records: Mapping[str, bytes | None]) -> None:
        """Write the newest state of endpoints, None removes one; return when the broker has it."""
        with kafka_translated(self._where):
            futures = [
                self._producer.send(self._endpoints, key=name.encode(), value=value)
                for name, value in records.items()
            ]
            for future in futures:
                future.get(timeout=_ACK_TIMEOUT_S)

    def hand_over(self, endpoint_id: str, value: bytes) -> None:
        """Give deliveries or a command to the owner of an endpoint; return when the broker has it."""
        number = owner_partition(endpoint_id, self._partitions[self._deliveries])
        with kafka_translated(self._where):
            self._producer.send(self._deliveries, value=value, partition=number).get(timeout=_ACK_TIMEOUT_S)
