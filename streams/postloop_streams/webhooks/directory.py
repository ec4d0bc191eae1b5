"""All endpoints, as every worker of the role knows them: restored, followed, and changed when one is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, TopicPartition

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.adapters.secret_box import SecretBox, SecretBoxError
from postloop.adapters.webhook_endpoints import StoredEndpoints, WebhookTopics
from postloop.adapters.webhook_store import WebhookMirror
from postloop.contracts.webhook_endpoint import NO_ENDPOINT, RESTORED_KEY, opened_endpoint, read_endpoint
from postloop.domain.errors import DataError
from postloop.domain.webhook.endpoint import Endpoint
from postloop.domain.webhook.matching import Directory
from postloop.settings import Settings

log = structlog.stdlib.get_logger("postloop.webhooks")

_POLL_MS: Final = 500
_PAUSE_S: Final = 1.0


class EndpointBook:
    """The endpoints that are known, opened. Changed in the event loop only; other threads may look.

    Attributes:
        directory: Finds those that hear of an event.
        removed: Ids of endpoints that were removed: what waits for them is forgotten.
    """

    def __init__(self, box: SecretBox) -> None:
        self._box = box
        self.directory = Directory()
        self.removed: set[str] = set()

    def fill(self, stored: StoredEndpoints) -> None:
        """Take in all endpoints at the start.

        Raises:
            SecretBoxError: A secret cannot be opened: with the wrong master key nothing can be signed.
            DataError: A record is none.
        """
        for value in stored.values.values():
            self.directory.put(self._opened(value))
        self.removed |= stored.removed

    def take(self, name: str, value: bytes | None) -> None:
        """Take in a change."""
        if name in NO_ENDPOINT:
            return
        if value is None:
            self.directory.remove(name)
            self.removed.add(name)
            return
        try:
            self.directory.put(self._opened(value))
            self.removed.discard(name)
        except (DataError, SecretBoxError) as error:  # the older version stays in force
            log.error("endpoint_unreadable", endpoint_id=name, reason=str(error))

    def _opened(self, value: bytes) -> Endpoint:
        return opened_endpoint(read_endpoint(value), unseal=self._box.unseal)


def load_endpoints(settings: Settings, mirror: WebhookMirror) -> tuple[StoredEndpoints, int]:
    """Return all endpoints, and how many of them came back from ClickHouse: the embedded broker forgets.

    Raises:
        UnavailableError, RefusedError: The broker or ClickHouse cannot be asked.
    """
    with WebhookTopics(settings) as topics:
        stored = topics.read()
        for name in sorted(stored.unreadable):
            log.error("endpoint_unreadable", endpoint_id=name)
        lost = stored.unreadable - stored.values.keys()
        if stored.is_whole and not lost:
            return stored, 0
        kept = {read_endpoint(value).endpoint_id: value for value in mirror.endpoints()}
        missing = {
            name: value
            for name, value in kept.items()
            if name not in stored.values and (name in lost or not stored.is_whole)
        }
        topics.write({**missing, RESTORED_KEY: b"{}"})
        stored.values.update(missing)
        stored.removed |= mirror.removed() - stored.values.keys()
        return stored, len(missing)


class EndpointFollower(threading.Thread):
    """Reads on where the start ended, until told to stop.

    Args:
        topic: With its prefix.
        take: Gets key and value of every record; called in this thread.
        fail: Called with a reason when following cannot go on.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        positions: dict[int, int],
        *,
        take: Callable[[str, bytes | None], None],
        fail: Callable[[str], None],
    ) -> None:
        super().__init__(name="webhook-endpoints", daemon=True)
        self._settings = settings
        self._topic = topic
        self._positions = dict(positions)
        self._take = take
        self._fail = fail
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def run(self) -> None:
        """Follow; a broker that is away is waited for."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except (UnavailableError, RefusedError) as error:
                log.warning("endpoints_wait", reason=str(error))
                self._stopping.wait(_PAUSE_S)
            except Exception as error:  # a fault of ours: without endpoints events would be told to nobody
                log.exception("endpoints_failed")
                self._fail(f"endpoints: {type(error).__name__}: {error}")
                return

    def _follow(self) -> None:
        consumer: Any = connect_kafka(
            KafkaConsumer,
            self._settings,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            with kafka_translated(f"Kafka at {self._settings.kafka_brokers}"):
                places = {TopicPartition(self._topic, number): at for number, at in self._positions.items()}
                consumer.assign(list(places))
                for place, at in places.items():
                    consumer.seek(place, at)
                while not self._stopping.is_set():
                    self._poll(consumer)
        finally:
            consumer.close()

    def _poll(self, consumer: Any) -> None:
        for place, records in consumer.poll(timeout_ms=_POLL_MS).items():
            for record in records:
                self._take((record.key or b"").decode("utf-8", "replace"), record.value)
            self._positions[place.partition] = records[-1].offset + 1
