"""Publishes a few records at once and returns when the brokers have them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from postloop.adapters.kafka_producer import ConnectedProducer
from postloop.adapters.kafka_security import kafka_translated
from postloop.settings import Settings

_SOME_MS: Final = 1_000


class Record(NamedTuple):
    """One record; `topic` carries its prefix."""

    topic: str
    key: bytes | None
    value: bytes


class RecordProducer(ConnectedProducer):
    """Publishes; any thread may call it.

    Args:
        timeout_s: How long the brokers may take to acknowledge. Seconds.
    """

    def __init__(self, settings: Settings, *, timeout_s: float = 30.0) -> None:
        timeout_ms = int(timeout_s * 1000)
        super().__init__(
            settings,
            delivery_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms - _SOME_MS,
            max_block_ms=timeout_ms,
        )
        self._timeout_s = timeout_s

    def publish(self, records: Sequence[Record]) -> None:
        """Return when the brokers acknowledged every record.

        Raises:
            UnavailableError: Not all were acknowledged in time. Those that were not may still arrive.
            RefusedError: The brokers do not take a record; others may have been taken.
        """
        deadline_s = time.monotonic() + self._timeout_s
        with kafka_translated(self._where):
            futures = [
                self._producer.send(record.topic, key=record.key, value=record.value) for record in records
            ]
            for future in futures:
                future.get(timeout=max(0.1, deadline_s - time.monotonic()))
