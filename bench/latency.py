"""Produce -> visible at a steady rate: when each record could be read in ClickHouse, and when it was produced."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Final

from aiokafka import AIOKafkaProducer

from bench import meter, stack
from bench.processes import BenchError, wait_until
from bench.registry import VARIANTS
from bench.running import POLL_S, start_consumer
from bench.workload import Plan, Record, generate
from postloop.domain.event_types import topic_name

_PARTITIONS: Final = 4
_TICK_S: Final = 0.01
_LAST_ROW_S: Final = 30.0
# The shape of the project's own projection: it reads a few rows per part, however many are stored.
_STORED_TO: Final = "SELECT any(topic), `partition`, max(`offset`) FROM events GROUP BY topic_id, `partition`"


@dataclass(frozen=True, kw_only=True)
class LatencyPlan:
    """Records a second for some seconds; an empty linger means the default."""

    rate_per_s: int
    duration_s: int
    linger: str = ""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from produce to visible, an upper bound: asked for every 20 ms. Warm-up is left out."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    longest_ms: float
    count: int


class Watch:
    """Notes for each partition when offsets were produced and when they were seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[tuple[str, int], dict[int, float]] = defaultdict(dict)
        self.latencies_ms: list[float] = []

    def produced(self, topic: str, partition: int, offset: int, at: float) -> None:
        """Note that a record was handed to the producer at `at` and has this offset."""
        with self._lock:
            self._waiting[topic, partition][offset] = at

    def seen(self, topic: str, partition: int, to_offset: int, at: float) -> None:
        """Note that at `at` a partition is visible up to an offset, included."""
        with self._lock:
            waiting = self._waiting[topic, partition]
            done = [offset for offset in waiting if offset <= to_offset]
            self.latencies_ms += [(at - waiting.pop(offset)) * 1000 for offset in done]

    @property
    def waiting_count(self) -> int:
        """How many records were not seen yet."""
        with self._lock:
            return sum(map(len, self._waiting.values()))


def summarize(latencies_ms: list[float]) -> Latency:
    """Return the percentiles of some latencies (at least two)."""
    cuts = quantiles(latencies_ms, n=100, method="inclusive")
    return Latency(
        p50_ms=cuts[49],
        p95_ms=cuts[94],
        p99_ms=cuts[98],
        longest_ms=max(latencies_ms),
        count=len(latencies_ms),
    )


def measure_latency(plan: LatencyPlan, directory: Path) -> Latency:
    """Run broker, ClickHouse and recorder, produce at the plan's rate, and return what was seen.

    Raises:
        BenchError: Rows did not become visible.
    """
    directory.mkdir(parents=True)
    settings = {"linger": plan.linger} if plan.linger else {}
    with stack.broker(directory, partitions=_PARTITIONS) as brokers, stack.clickhouse(directory) as store:
        recorder = start_consumer(
            VARIANTS["postloop"],
            brokers=brokers,
            clickhouse_port=store.port,
            directory=directory,
            python=Path(sys.executable),
            **settings,
        )
        with recorder:
            wait_until(
                lambda: meter.assigned_at(recorder.log()) is not None, what="the recorder", process=recorder
            )
            watch, stopping = Watch(), threading.Event()
            observer = threading.Thread(target=_observe, args=(store, watch, stopping), daemon=True)
            observer.start()
            asyncio.run(_produce(plan, brokers, watch))
            _wait_for_rest(watch, stopping, observer)
    return summarize(watch.latencies_ms)


def _wait_for_rest(watch: Watch, stopping: threading.Event, observer: threading.Thread) -> None:
    deadline = time.monotonic() + _LAST_ROW_S
    while watch.waiting_count and time.monotonic() < deadline:
        time.sleep(POLL_S)
    stopping.set()
    observer.join()
    if watch.waiting_count:
        raise BenchError(f"{watch.waiting_count} records are not visible after {_LAST_ROW_S:g} s")


def _observe(store: stack.Store, watch: Watch, stopping: threading.Event) -> None:
    while not stopping.wait(POLL_S):
        rows = store.rows(_STORED_TO)
        at = time.time()
        for topic, partition, offset in rows:
            watch.seen(topic, partition, offset, at)


async def _produce(plan: LatencyPlan, brokers: str, watch: Watch) -> None:
    """Produce at a steady rate; the first two seconds warm everything up and are not counted."""
    warm_up = 2 * plan.rate_per_s
    total = warm_up + plan.rate_per_s * plan.duration_s
    workload = Plan(
        event_count=total, start_at=datetime.now(UTC), invalid_share=0.0, seed=random.randrange(1 << 30)
    )
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", linger_ms=2)
    await producer.start()
    try:
        records, sent, started = iter(list(generate(workload))), 0, time.monotonic()
        while sent < total:
            due = min(total, int((time.monotonic() - started) * plan.rate_per_s)) - sent
            for record in islice(records, due):
                await _send(producer, record, watch if sent >= warm_up else None)
                sent += 1
            await asyncio.sleep(_TICK_S)
        await producer.flush()
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, record: Record, watch: Watch | None) -> None:
    at, stored_as = time.time(), topic_name(record.event_type)
    topic = topic_name(record.event_type, prefix=stack.PREFIX)
    future = await producer.send(topic, record.value, key=record.key, partition=record.partition)
    if watch is not None:
        future.add_done_callback(
            lambda done: watch.produced(stored_as, done.result().partition, done.result().offset, at)
        )
