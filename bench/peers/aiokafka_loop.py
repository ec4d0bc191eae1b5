"""A loop on aiokafka: fetch, validate, insert in a thread, commit."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

from bench.peers.common import BATCH_ROWS, SESSION_TIMEOUT_MS, Job, Place, Sink, check_many, job
from postloop.domain.event_types import EventType


class NoteStart(ConsumerRebalanceListener):
    """Starts the clock."""

    def __init__(self, at: Job) -> None:
        self._at = at

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to do."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Note the moment."""
        self._at.note_start()


async def consume(at: Job) -> None:
    """Read until cancelled."""
    sink = Sink(at)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=at.brokers,
        group_id=at.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        max_partition_fetch_bytes=4 << 20,
        check_crcs=False,
    )
    consumer.subscribe(list(at.topics), listener=NoteStart(at))
    await consumer.start()
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=500, max_records=BATCH_ROWS)
            if not fetched:
                continue
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
