"""What every producer of ours is: acknowledged by all replicas, idempotent, for topics that exist already."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaProducer

from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.topic_admin import partition_counts
from postloop.settings import Settings

# The simulator sends records above the limit of the contract on purpose, and they come back as dead letters that
# are redriven; the library must not stop them.
_MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024


class ConnectedProducer:
    """A producer of kafka-python that has reached the cluster; a context manager that closes it."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """Connect; `options` are more keyword arguments of KafkaProducer.

        Raises:
            UnavailableError: No broker answers.
            RefusedError: The brokers refuse the user or the password.
        """
        self._settings = settings
        self._where = f"Kafka at {settings.kafka_brokers}"
        self._partitions: dict[str, int] = {}
        self._producer: Any = connect_kafka(
            KafkaProducer,
            settings,
            acks="all",
            enable_idempotence=True,
            max_request_size=_MAX_REQUEST_BYTES,
            allow_auto_create_topics=False,
            metrics_enabled=False,
            **options,
        )

    def require_topics(self, topics: Iterable[str]) -> None:
        """Learn the partitions of the topics that will be used.

        Raises:
            RefusedError: A topic does not exist.
        """
        self._partitions.update(partition_counts(self._settings, topics))

    def close(self) -> None:
        """Let go of the connection; what was not acknowledged may be lost."""
        self._producer.close(timeout=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
