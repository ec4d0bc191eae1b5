"""Publishes dead letters to the topics they came from, with their original bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from postloop.adapters.dead_letter_store import DeadLetter
from postloop.adapters.kafka_producer import ConnectedProducer
from postloop.adapters.kafka_security import kafka_translated
from postloop.domain.event_types import INPUT_TOPICS, prefixed

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
