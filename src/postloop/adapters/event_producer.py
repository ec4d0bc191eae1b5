"""Sends records to the input topics and counts what the brokers acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.kafka_security import kafka_client_args, kafka_refusal, kafka_translated
from postloop.settings import Settings

# The simulator sends records above the limit of the contract on purpose; the library must not stop them.
_MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
_BATCH_BYTES: Final = 256 * 1024
_LINGER_MS: Final = 100
_DELIVERY_TIMEOUT_MS: Final = 60_000
_FLUSH_TIMEOUT_S: Final = 90
# Records on their way at most, give or take a stride: the library itself bounds nothing.
_STRIDE: Final = 2_000
_MAX_STRIDES: Final = 20


class EventProducer:
    """A producer for topics that must already exist; a context manager that closes it.

    Records with a key go where every Kafka client would put them (murmur2). A failed record is raised by the
    next call, at the latest by `flush`.
    """

    def __init__(self, settings: Settings) -> None:
        """Connect.

        Raises:
            UnavailableError: No broker answers.
            RefusedError: The brokers refuse the user or the password.
        """
        self._where = f"Kafka at {settings.kafka_brokers}"
        self._settings = settings
        self._sent = 0
        self._failure: UnavailableError | RefusedError | None = None
        self._failed = 0
        self._on_the_way: deque[Any] = deque()
        self._partitions: dict[str, int] = {}
        with kafka_translated(self._where):
            self._producer = KafkaProducer(
                **kafka_client_args(settings),
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                linger_ms=_LINGER_MS,
                batch_size=_BATCH_BYTES,
                delivery_timeout_ms=_DELIVERY_TIMEOUT_MS,
                max_request_size=_MAX_REQUEST_BYTES,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )

    def require_topics(self, topics: Iterable[str]) -> None:
        """Learn the partitions of the topics that will be used.

        Asked of the admin interface: to ask the producer would create the topic on some brokers.

        Raises:
            RefusedError: A topic does not exist.
        """
        wanted = sorted(set(topics))
        with kafka_translated(self._where):
            admin = KafkaAdminClient(**kafka_client_args(self._settings))
            try:
                answers = admin.describe_topics(wanted)
            finally:
                admin.close()
        found = {answer["name"]: len(answer["partitions"]) for answer in answers if not answer["error_code"]}
        for topic in wanted:
            if not found.get(topic):
                raise RefusedError(
                    f"topic {topic} does not exist: run `postloop topics create`", code="no_topic"
                )
        self._partitions.update(found)

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

    def close(self) -> None:
        """Let go of the connection; what was not flushed may be lost."""
        self._producer.close(timeout=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
