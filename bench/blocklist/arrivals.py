"""When records of an output topic arrive at a consumer."""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Self

from kafka import KafkaConsumer, TopicPartition

from bench.stack import PREFIX

_POLL_MS: Final = 200


class Arrivals:
    """Follows all partitions of a topic in a thread and notes when each key arrived first, and its value."""

    def __init__(self, brokers: str, topic: str, *, partitions: int) -> None:
        self._consumer: Any = KafkaConsumer(
            bootstrap_servers=brokers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=5_000,
            check_crcs=False,
        )
        places = [TopicPartition(PREFIX + topic, number) for number in range(partitions)]
        self._consumer.assign(places)
        for place in places:
            self._consumer.seek(place, 0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.first: dict[str, tuple[float, bytes]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            fetched = self._consumer.poll(timeout_ms=_POLL_MS)
            at = time.time()
            for records in fetched.values():
                for record in records:
                    if record.value is not None:
                        self.first.setdefault(record.key.decode(), (at, record.value))
