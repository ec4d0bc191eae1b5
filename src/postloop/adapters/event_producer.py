"""Sends records to the input topics and counts what the brokers acknowledged."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Any, Final

from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.kafka_producer import ConnectedProducer
from postloop.adapters.kafka_security import kafka_refusal, kafka_translated
from postloop.settings import Settings

_BATCH_BYTES: Final = 256 * 1024
_LINGER_MS: Final = 100
_DELIVERY_TIMEOUT_MS: Final = 60_000
_FLUSH_TIMEOUT_S: Final = 90
# Records on their way at most, give or take a stride: the library itself bounds nothing.
_STRIDE: Final = 2_000
_MAX_STRIDES: Final = 20


class EventProducer(ConnectedProducer):
    """Sends to required topics in large batches.

    Records with a key go where every Kafka client would put them (murmur2). A failed record is raised by the
    next call, at the latest by `flush`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings,
            compression_type="lz4",
            linger_ms=_LINGER_MS,
            batch_size=_BATCH_BYTES,
            delivery_timeout_ms=_DELIVERY_TIMEOUT_MS,
        )
        self._sent = 0
        self._failure: UnavailableError | RefusedError | None = None
        self._failed = 0
        self._on_the_way: deque[Any] = deque()

    def partition_count(self, topic: str) -> int:
        """Return the number of partitions of a required topic."""
        return self._partitions[topic]

    def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, slot: int | None = None
    ) -> None:
        """Hand over one record; `slot` (any number) chooses the partition instead of the key.

        Raises:
            UnavailableError, RefusedError: This or an earlier record failed.
        """
        if self._failure is not None:
            raise self._failure
        count = self._partitions[topic]
        if slot is not None:
            partition = slot % count
        else:
            partition = _spread(key) % count if key is not None else self._sent % count
        try:  # not kafka_translated: a context manager costs 2 µs a record
            future = self._producer.send(topic, value=value, key=key, partition=partition)
        except KafkaError as error:
            raise kafka_refusal(f"topic {topic} on {self._where}", error) from error
        future.add_errback(self._note_failure, topic)
        self._sent += 1
        if self._sent % _STRIDE == 0:
            self._hold_back(future)

    def flush(self) -> int:
        """Wait until every record is acknowledged and return how many were.

        Raises:
            UnavailableError, RefusedError: A record failed, or the brokers do not answer in time.
        """
        with kafka_translated(self._where):
            self._producer.flush(timeout=_FLUSH_TIMEOUT_S)
        if self._failure is not None:
            raise self._failure
        return self._sent - self._failed

    def _hold_back(self, future: Any) -> None:
        """Wait for a record of long ago, so that memory stays bounded while the brokers are slow."""
        self._on_the_way.append(future)
        if len(self._on_the_way) <= _MAX_STRIDES:
            return
        try:
            self._on_the_way.popleft().get(timeout=_FLUSH_TIMEOUT_S)
        except KafkaError as error:
            raise self._failure or kafka_refusal(self._where, error) from error

    def _note_failure(self, topic: str, error: BaseException) -> None:
        self._failed += 1
        if self._failure is None:
            self._failure = kafka_refusal(f"topic {topic} on {self._where}", error)


@lru_cache(maxsize=65_536)
def _spread(key: bytes) -> int:
    # Pure Python and 12 µs a key, half the cost of a record: recipients recur, so it is remembered.
    return int(murmur2(key)) & 0x7FFFFFFF
