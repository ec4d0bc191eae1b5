"""The recorder's memory does not grow with the log, nor while ClickHouse is away."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer

from tests.support.brokers import Broker
from tests.support.stack import Stack

EVENTS = 1_000_000
OUTAGE_S = 60
# A backlog that the recorder finds at its start: its buffers have been full once before the measuring begins.
WARM_UP_EVENTS = 200_000


class MemoryWatch:
    """Samples the resident memory of a process every half second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopping = threading.Event()
        self.samples_mb: list[float] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stopping.wait(0.5):
            self.samples_mb.append(self._process.memory_info().rss / 2**20)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def produce(stack: Stack, first: int, count: int) -> None:
    """Produce events with ids from `first` on, as fast as it goes."""
    producer = KafkaProducer(
        bootstrap_servers=stack.settings.broker_list, acks="all", linger_ms=50, batch_size=200_000
    )
    topic = stack.settings.topic_prefix + "email.send"
    event = {
        "event_id": "%",
        "occurred_at": datetime.now(UTC).isoformat(),
        "account_id": "acc1",
        "message_id": "%",
        "sender_domain": "shop.example",
        "recipient": "user%@gmail.com",
        "mail_class": "marketing",
    }
    template = json.dumps(event)
    for number in range(first, first + count):
        producer.send(topic, template.replace("%", str(number)).encode())
    producer.flush()
    producer.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_is_flat_over_a_million_events_and_a_minute_without_clickhouse(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    with Stack(broker, prefix=topic_prefix, directory=tmp_path, dedup_max_ids=1_000_000) as stack:
        produce(stack, 0, WARM_UP_EVENTS)
        recorder = stack.start_recorder(ready=True)
        stack.wait_stored(WARM_UP_EVENTS, timeout_s=300)
        watch = MemoryWatch(recorder.pid)
        load = threading.Thread(target=produce, args=(stack, WARM_UP_EVENTS, EVENTS - WARM_UP_EVENTS))
        load.start()
        stack.wait_stored(400_000, timeout_s=300)
        stack.clickhouse.kill()
        time.sleep(OUTAGE_S)
        stack.start_clickhouse()
        load.join()
        stack.wait_stored(EVENTS, timeout_s=600)
        watch.stop()
        assert stack.one("SELECT uniqExact(event_id) FROM events") == EVENTS
    low, high = min(watch.samples_mb), max(watch.samples_mb)
    middle = sorted(watch.samples_mb)[len(watch.samples_mb) // 2]
    print(f"resident memory: min {low:.0f} MB, median {middle:.0f} MB, max {high:.0f} MB")
    assert high <= middle * 1.1 and low >= middle * 0.9, (low, middle, high)
