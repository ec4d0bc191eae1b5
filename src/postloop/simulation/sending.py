"""Hands the records of a simulation to a producer, no faster than asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from postloop.domain.event_types import EventType, topic_name
from postloop.simulation.generator import Record

_STRIDE: Final = 200  # records between two looks at the clock
_MAX_NAP_S: Final = 0.25


class Producer(Protocol):
    """What takes the records."""

    def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, slot: int | None = None
    ) -> None: ...

    def flush(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What was handed over: records, events in them (good and bad), and records that were acknowledged."""

    records: int
    elements: int
    acknowledged: int
    bytes_count: int


def send_all(
    records: Iterable[Record],
    producer: Producer,
    *,
    topic_prefix: str,
    rate: float,
    now_s: Callable[[], float],
    sleep: Callable[[float], None],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Send every record and wait until all are acknowledged.

    Args:
        rate: Events a second; 0 is as fast as possible.
        on_progress: Told the number of events handed over so far.
    """
    topics: dict[EventType, str] = {}
    start_s, elements, count, size = now_s(), 0, 0, 0
    for record in records:
        topic = topics.get(record.event_type)
        if topic is None:
            topic = topics[record.event_type] = topic_name(record.event_type, prefix=topic_prefix)
        producer.send(topic, record.value, key=record.key, slot=record.slot)
        count += 1
        elements += record.elements
        size += len(record.value or b"")
        if count % _STRIDE == 0 or rate:
            on_progress(elements)
            while rate and (ahead_s := elements / rate - (now_s() - start_s)) > 0:
                sleep(min(ahead_s, _MAX_NAP_S))
    acknowledged = producer.flush()
    on_progress(elements)
    return Sent(count, elements, acknowledged, size)
