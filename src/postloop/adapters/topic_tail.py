"""What comes to a topic from now on, for a command that waits for an answer there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.settings import Settings

_POLL_MS: Final = 200
# The embedded broker waits all of this before it hands out what it has found, and somebody waits for that.
_FETCH_WAIT_MS: Final = 50


class TopicTail:
    """Reads a topic from its present end, without a consumer group. Every method blocks.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked.
    """

    def __init__(self, settings: Settings, topic: str, *, partition_count: int) -> None:
        self._where = f"Kafka at {settings.kafka_brokers}"
        self._consumer: Any = connect_kafka(
            KafkaConsumer,
            settings,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        with kafka_translated(self._where):
            places = [TopicPartition(topic, number) for number in range(partition_count)]
            self._consumer.assign(places)
            for place, end in self._consumer.end_offsets(places).items():
                self._consumer.seek(place, end)

    def values(self) -> Iterator[bytes | None]:
        """Yield the values of the records that have come; waits a fifth of a second where there are none."""
        with kafka_translated(self._where):
            fetched = self._consumer.poll(timeout_ms=_POLL_MS)
        for records in fetched.values():
            for record in records:
                yield record.value

    def close(self) -> None:
        self._consumer.close()
