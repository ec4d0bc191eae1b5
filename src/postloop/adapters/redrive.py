"""Publishes dead letters to the topics they came from, with their original bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from postloop.adapters.dead_letter_store import DeadLetter
from postloop.adapters.kafka_producer import ConnectedProducer
from postloop.adapters.kafka_security import kafka_translated
from postloop.domain.event_types import INPUT_TOPICS, PARTITIONED_TOPICS, prefixed

HEADER: Final = "postloop-redriven"
_ACK_TIMEOUT_S: Final = 60


class Redriver(ConnectedProducer):
    """A producer that waits for the acknowledgement of every record."""

    def require_topics(self, topics: Iterable[str]) -> None:
        """Check that the original topics exist.

        Raises:
            RefusedError: One does not.
        """
        super().require_topics(self.topic_on_wire(topic) for topic in topics)

    def publish(self, letters: Iterable[DeadLetter], acknowledged: list[str]) -> None:
        """Publish all of them.

        Args:
            letters: What to publish.
            acknowledged: Gets the event id of each that the brokers acknowledged, also before an error.

        Raises:
            UnavailableError, RefusedError: A record was not taken; earlier ones may have been.
        """
        with kafka_translated(self._where):
            futures = []
            try:
                for letter in letters:
                    future = self._send(letter)
                    futures.append((letter.event_id, future))
            finally:
                for event_id, future in futures:
                    future.get(timeout=_ACK_TIMEOUT_S)
                    acknowledged.append(event_id)

    def _send(self, letter: DeadLetter) -> Any:
        value, key = letter.original_value, letter.original_key
        if value is None and key is None:  # the client refuses such a record, which other clients write
            key = b""
        return self._producer.send(
            self.topic_on_wire(letter.topic),
            value=value,
            key=key,
            partition=letter.partition if self._unprefixed(letter.topic) in PARTITIONED_TOPICS else None,
            headers=[(HEADER, letter.event_id.encode())],
        )

    def _unprefixed(self, topic: str) -> str:
        return topic.removeprefix(self._settings.topic_prefix)

    def topic_on_wire(self, topic: str) -> str:
        """Return the name on the cluster of the topic that a dead letter names with or without prefix."""
        return (
            prefixed(topic, prefix=self._settings.topic_prefix) if topic in INPUT_TOPICS.values() else topic
        )
