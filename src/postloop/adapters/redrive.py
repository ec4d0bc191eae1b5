"""Publishes dead letters to the topics they came from, with their original bytes."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaProducer

from postloop.adapters.dead_letter_store import DeadLetter
from postloop.adapters.errors import RefusedError
from postloop.adapters.kafka_security import kafka_client_args, kafka_translated
from postloop.adapters.topic_admin import missing_topics
from postloop.domain.event_types import INPUT_TOPICS, prefixed
from postloop.settings import Settings

HEADER: Final = "postloop-redriven"
_MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
_ACK_TIMEOUT_S: Final = 60


class Redriver:
    """A producer that waits for the acknowledgement of every record; a context manager that closes it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._where = f"Kafka at {settings.kafka_brokers}"
        with kafka_translated(self._where):
            self._producer: Any = KafkaProducer(
                **kafka_client_args(settings),
                acks="all",
                enable_idempotence=True,
                max_request_size=_MAX_REQUEST_BYTES,
                allow_auto_create_topics=False,
            )

    def require_topics(self, topics: Iterable[str]) -> None:
        """Check that the original topics exist.

        Raises:
            RefusedError: One does not.
        """
        for name in missing_topics(self._settings, sorted({self.topic_on_wire(topic) for topic in topics})):
            raise RefusedError(f"topic {name} does not exist: run `postloop topics create`", code="no_topic")

    def publish(self, letters: Iterable[DeadLetter]) -> int:
        """Publish and return how many the brokers acknowledged, which is all of them.

        Raises:
            UnavailableError, RefusedError: A record was not taken; earlier ones may have been.
        """
        with kafka_translated(self._where):
            futures = [
                self._producer.send(
                    self.topic_on_wire(letter.topic),
                    value=letter.original_value,
                    key=letter.original_key,
                    headers=[(HEADER, letter.event_id.encode())],
                )
                for letter in letters
            ]
            for future in futures:
                future.get(timeout=_ACK_TIMEOUT_S)
        return len(futures)

    def topic_on_wire(self, topic: str) -> str:
        """Return the name on the cluster of the topic that a dead letter names with or without prefix."""
        return (
            prefixed(topic, prefix=self._settings.topic_prefix) if topic in INPUT_TOPICS.values() else topic
        )

    def close(self) -> None:
        self._producer.close(timeout=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
