"""A connected admin client of kafka-python whose failures tell why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka.admin import KafkaAdminClient

from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.settings import Settings

_REQUEST_TIMEOUT_MS: Final = 15_000


@contextmanager
def admin_client(settings: Settings, *, timeout_s: float | None = None) -> Iterator[Any]:
    """Yield an admin client that has reached the cluster.

    Raises:
        UnavailableError: No broker answers within `timeout_s` (default 5 s).
        RefusedError: A broker answered and refused (user, password, rights).
    """
    options = {} if timeout_s is None else {"bootstrap_timeout_ms": int(timeout_s * 1000)}
    client = connect_kafka(KafkaAdminClient, settings, request_timeout_ms=_REQUEST_TIMEOUT_MS, **options)
    try:
        with kafka_translated(f"Kafka at {settings.kafka_brokers}"):
            yield client
    finally:
        client.close()
