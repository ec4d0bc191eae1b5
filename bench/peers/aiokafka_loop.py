"""A loop on aiokafka: fetch, validate, insert in a thread, commit."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer

from bench.peers.common import BATCH_ROWS, SESSION_TIMEOUT_MS, Job, Place, Sink, check_many, job
from postloop.domain.event_types import EventType


async def consume(at: Job) -> None:
    """Read until cancelled."""
    sink = Sink(at)
    consumer = AIOKafkaConsumer(
        *at.topics,
        bootstrap_servers=at.brokers,
        group_id=at.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        max_partition_fetch_bytes=4 << 20,
        check_crcs=False,
    )
    await consumer.start()
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=500, max_records=BATCH_ROWS)
            if not fetched:
                continue
            at.note_first()
            by_kind: dict[EventType, tuple[list[bytes], list[Place]]] = {}
            for tp, records in fetched.items():
                values, places = by_kind.setdefault(at.topics[tp.topic], ([], []))
                values += [record.value for record in records]
                places += [Place(tp.topic, tp.partition, r.offset, r.timestamp) for r in records]
            for kind, (values, places) in by_kind.items():
                await asyncio.to_thread(sink.store, kind, check_many(kind, values, places))
            await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(consume(job()))
