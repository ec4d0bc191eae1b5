"""Reads partitions of a compacted topic up to a record of one's own, without a consumer group."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from postloop.adapters.errors import UnavailableError
from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.settings import Settings

_POLL_MS: Final = 500
_MAX_RECORDS: Final = 5_000
# Without a single record for this long something is wrong with the log, not with patience.
_SILENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """One record: `value` None deletes the key."""

    offset: int
    key: str
    value: bytes | None


Take = Callable[[int, list[Change]], None]


def read_changelog(settings: Settings, topic: str, ranges: Mapping[int, tuple[int, int]], take: Take) -> None:
    """Give every record of some partitions to `take`, in the order of each; blocks until all was read.

    Args:
        ranges: Partition -> first offset to read, and the last one, which must exist: a record that the caller
            wrote. The broker's own word on where a log ends is not relied on (the embedded one reports too little).

    Raises:
        UnavailableError: The broker is away, or a record that must exist does not come.
        RefusedError: The broker refuses.
    """
    if not ranges:
        return
    consumer: Any = connect_kafka(
        KafkaConsumer,
        settings,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=_MAX_RECORDS,
    )
    try:
        with kafka_translated(f"Kafka at {settings.kafka_brokers}"):
            _read(consumer, topic, dict(ranges), take)
    finally:
        consumer.close()


def _read(consumer: Any, topic: str, ranges: dict[int, tuple[int, int]], take: Take) -> None:
    consumer.assign([TopicPartition(topic, partition) for partition in ranges])
    for partition, (first, _) in ranges.items():
        consumer.seek(TopicPartition(topic, partition), first)
    left = {partition: last for partition, (_, last) in ranges.items()}
    heard_s = time.monotonic()
    while left:
        fetched = consumer.poll(timeout_ms=_POLL_MS)
        for place, records in fetched.items():
            heard_s = time.monotonic()
            take(place.partition, [_change(record) for record in records])
            if records[-1].offset >= left.get(place.partition, -1):
                left.pop(place.partition, None)
                consumer.pause(place)
        if time.monotonic() - heard_s > _SILENCE_S:
            raise UnavailableError(f"{topic} cannot be read to its end: partitions {sorted(left)} are silent")


def _change(record: Any) -> Change:
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:  # nobody's: no key of ours is like that
        key = ""
    return Change(record.offset, key, record.value)
