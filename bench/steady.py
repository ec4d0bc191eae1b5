"""Records produced at a steady rate, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from bench import stack
from bench.processes import BenchError
from bench.workload import Record
from postloop.domain.event_types import topic_name

_TICK_S: Final = 0.01


class Placed(NamedTuple):
    """A record that the broker took: its number, its place in the log, and when it was handed to the producer.

    The topic is without prefix, as it is stored.
    """

    number: int
    topic: str
    partition: int
    offset: int
    at: float


class Load:
    """A load that is being produced."""

    def __init__(self, work: Future[None], stopping: threading.Event) -> None:
        self._work = work
        self._stopping = stopping

    @property
    def is_over(self) -> bool:
        """All records were produced, or producing failed."""
        return self._work.done()

    def finish(self) -> None:
        """Stop producing; return when the broker has everything that was handed to the producer.

        Raises:
            BenchError: It refused some of it.
        """
        self._stopping.set()
        self._work.result()


@contextmanager
def steady_load(
    records: Iterable[Record], *, brokers: str, rate_per_s: int, on_placed: Callable[[Placed], None]
) -> Iterator[Load]:
    """Produce records until they end or the load is finished; `on_placed` is called in the producing thread."""
    stopping = threading.Event()
    work = _produce(records, stopping, brokers=brokers, rate_per_s=rate_per_s, on_placed=on_placed)
    with ThreadPoolExecutor(1) as pool:
        try:
            yield Load(pool.submit(asyncio.run, work), stopping)
        finally:
            stopping.set()


async def _produce(
    records: Iterable[Record],
    stopping: threading.Event,
    *,
    brokers: str,
    rate_per_s: int,
    on_placed: Callable[[Placed], None],
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", linger_ms=2)
    await producer.start()
    try:
        sender = _Sender(producer, on_placed)
        numbered, sent, started = enumerate(records), 0, time.monotonic()
        while not stopping.is_set():
            due = int((time.monotonic() - started) * rate_per_s) - sent
            taken = list(islice(numbered, due))
            for number, record in taken:
                await sender.send(number, record)
            sent += len(taken)
            if len(taken) < due:
                break
            await asyncio.sleep(_TICK_S)
        await producer.flush()
        await asyncio.sleep(0)  # what was taken or refused last is noted in the next turn of the loop
    except KafkaError as error:
        raise BenchError(f"records cannot be produced: {error!r}") from error
    finally:
        await producer.stop()
    sender.check()


class _Sender:
    def __init__(self, producer: AIOKafkaProducer, on_placed: Callable[[Placed], None]) -> None:
        self._producer = producer
        self._on_placed = on_placed
        self._errors: list[BaseException] = []

    async def send(self, number: int, record: Record) -> None:
        at, stored_as = time.time(), topic_name(record.event_type)
        topic = topic_name(record.event_type, prefix=stack.PREFIX)
        future = await self._producer.send(topic, record.value, key=record.key, partition=record.partition)

        def note(done: asyncio.Future[Any]) -> None:
            if error := done.exception():
                self._errors.append(error)
                return
            place = done.result()
            self._on_placed(Placed(number, stored_as, place.partition, place.offset, at))

        future.add_done_callback(note)

    def check(self) -> None:
        if self._errors:
            raise BenchError(f"{len(self._errors)} records were not produced: {self._errors[0]!r}")
