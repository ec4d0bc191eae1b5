"""A loop on confluent-kafka: consume a batch, validate, insert, commit."""

from __future__ import annotations

from confluent_kafka import Consumer

from bench.peers.common import BATCH_ROWS, SESSION_TIMEOUT_MS, Job, Place, Sink, check_many, job
from postloop.domain.event_types import EventType


def consumer_of(at: Job) -> Consumer:
    """Return a consumer that is subscribed to the six topics."""
    consumer = Consumer(
        {
            "bootstrap.servers": at.brokers,
            "group.id": at.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "max.partition.fetch.bytes": 4 << 20,
        }
    )
    consumer.subscribe(list(at.topics), on_assign=lambda *_: at.note_start())
    return consumer


def consume(at: Job) -> None:
    """Read until killed."""
    sink, consumer = Sink(at), consumer_of(at)
    while True:
        messages = [m for m in consumer.consume(BATCH_ROWS, timeout=0.5) if not m.error()]
        if not messages:
            continue
        by_kind: dict[EventType, tuple[list[bytes], list[Place]]] = {}
        for message in messages:
            topic = message.topic()
            values, places = by_kind.setdefault(at.topics[topic], ([], []))
            values.append(message.value())
            places.append(Place(topic, message.partition(), message.offset(), message.timestamp()[1]))
        for kind, (values, places) in by_kind.items():
            sink.store(kind, check_many(kind, values, places))
        consumer.commit(asynchronous=False)


if __name__ == "__main__":
    consume(job())
