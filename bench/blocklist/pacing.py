"""Records at a steady rate, a batch for each partition every tenth of a second: it costs the machine little."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from bench.stack import Addressed

_TICK_S: Final = 0.1


@contextmanager
def paced(brokers: str, records: Sequence[Addressed], *, rate_per_s: int) -> Iterator[Future[float]]:
    """Produce records; the future's result is the moment (Unix time) at which the broker had the last one."""
    stopping = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(asyncio.run, _produce(brokers, records, stopping, rate_per_s=rate_per_s))
        finally:
            stopping.set()


async def _produce(
    brokers: str, records: Sequence[Addressed], stopping: threading.Event, *, rate_per_s: int
) -> float:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", max_batch_size=1 << 20)
    await producer.start()
    try:
        left, started_s, sent = iter(records), time.monotonic(), 0
        while not stopping.is_set():
            due = int((time.monotonic() - started_s) * rate_per_s) - sent
            taken = list(islice(left, due))
            await _send(producer, taken)
            sent += len(taken)
            if len(taken) < due:
                break
            await asyncio.sleep(_TICK_S)
    finally:
        await producer.stop()
    return time.time()


async def _send(producer: AIOKafkaProducer, records: Sequence[Addressed]) -> None:
    batches: defaultdict[tuple[str, int], Any] = defaultdict(producer.create_batch)
    stamp_ms = int(time.time() * 1000)
    for record in records:
        place = record.topic, record.partition
        batches[place].append(key=record.key, value=record.value, timestamp=stamp_ms)
    sent = [
        await producer.send_batch(batch, topic, partition=partition)
        for (topic, partition), batch in batches.items()
    ]
    await asyncio.gather(*sent)
