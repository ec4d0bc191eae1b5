"""Publishing through the producer of an app: done when the broker has it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import faust


class ToPublish(NamedTuple):
    """One record; topics carry their prefix. `partition` None: the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


async def publish(app: faust.App, records: Iterable[ToPublish]) -> list[Any]:
    """Return what the broker answered to each record, in their order, once it acknowledged all.

    Records of one partition keep their order.
    """
    futures = [
        await app.producer.send(record.topic, record.key, record.value, record.partition, None, None)
        for record in records
    ]
    return await asyncio.gather(*futures)
