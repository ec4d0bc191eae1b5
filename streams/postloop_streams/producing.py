"""Publishing through the producer of an app: done when the broker has it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import faust
from aiokafka.partitioner import DefaultPartitioner

from postloop.adapters.clock import now_ms

_partition_of: Final = DefaultPartitioner()


class ToPublish(NamedTuple):
    """One record; topics carry their prefix. `partition` None: the key decides.

    Only `publish_many` sends headers.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def key_of(text: str) -> bytes:
    """Return the bytes of a key; what came from outside may hold halves of characters."""
    return text.encode("utf-8", "surrogatepass")


async def publish(app: faust.App, records: Iterable[ToPublish]) -> list[Any]:
    """Return what the broker answered to each record, in their order, once it acknowledged all.

    Records of one partition keep their order.
    """
    futures = [
        await app.producer.send(record.topic, record.key, record.value, record.partition, None, None)
        for record in records
    ]
    return await asyncio.gather(*futures)


async def publish_many(app: faust.App, records: Iterable[ToPublish]) -> None:
    """Publish records in batches of our own making; return once the broker acknowledged all.

    That spares a future, a queue and a callback for each record. Records of one partition keep
    their order; a record without key names its partition.
    """
    producer = app.producer._ensure_producer()
    by_place: defaultdict[tuple[str, int], list[ToPublish]] = defaultdict(list)
    partitions: dict[str, list[int]] = {}
    for record in records:
        number = record.partition
        if number is None:
            if record.topic not in partitions:
                partitions[record.topic] = sorted(await producer.partitions_for(record.topic))
            known = partitions[record.topic]
            number = _partition_of(record.key, known, known)
        by_place[record.topic, number].append(record)
    sent = [_send(producer, topic, number, part) for (topic, number), part in by_place.items()]
    # All are awaited before a failure is told: a retry must not overtake what is still under way.
    for answer in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


async def _send(producer: Any, topic: str, partition: int, records: Sequence[ToPublish]) -> None:
    stamp_ms = now_ms()
    batch = producer.create_batch()
    for record in records:
        content = {"key": record.key, "value": record.value, "headers": list(record.headers)}
        if batch.append(timestamp=stamp_ms, **content) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=stamp_ms, **content)
    await (await producer.send_batch(batch, topic, partition=partition))
