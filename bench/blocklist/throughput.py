"""What a worker takes in: new entries a second, and the price of deliveries to addresses that are not listed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench import stack
from bench.blocklist.events import deliveries, hard_bounces
from bench.blocklist.pacing import paced
from bench.meter import Sampler, cpu_between
from bench.worker import Place, Worker, running
from bench.workload import Record

PARTITIONS: Final = 4
READY_S: Final = 120.0
_STORED: Final = "SELECT uniqExact(recipient) FROM blocklist_entries"

Say = Callable[[int], None]


def nothing(done: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Inserted:
    """Bounces of addresses that differ, all in the topic before the clock starts.

    Attributes:
        entries_per_s: From ready until the last insert event was acknowledged.
        cpu_per_million: CPU seconds of the worker in that time, for a million entries; its journal works too then.
        stored_per_s: From ready until the last entry was in ClickHouse.
        cpu_stored_per_million: CPU seconds of the worker until then, for a million.
        cpu_clickhouse_per_million: Of ClickHouse until then.
        peak_mb: Resident memory of the worker.
    """

    entries: int
    entries_per_s: float
    cpu_per_million: float
    stored_per_s: float
    cpu_stored_per_million: float
    cpu_clickhouse_per_million: float
    peak_mb: float


def measure_inserts(count: int, directory: Path, *, timeout_s: float, say: Say = nothing) -> Inserted:
    """Load hard bounces, start a worker, and return how fast they became entries.

    Raises:
        BenchError: They did not in time.
    """
    with (
        stack.broker(directory, partitions=PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        Sampler(store.process.pid) as theirs,
    ):
        at = datetime.now(UTC) - timedelta(hours=1)
        load(brokers, hard_bounces("new", count, at=at, partitions=PARTITIONS))
        with running(Place.new(brokers, store.port, directory)) as worker:
            worker.wait_ready(timeout_s=READY_S)
            start_at = worker.ready_at
            done_at = worker.wait(
                told(worker.inserted, count, say), what="the last entry", timeout_s=timeout_s
            )
            stored_at = worker.wait(
                lambda: int(store.rows(_STORED)[0][0]) >= count, what="the last row", timeout_s=timeout_s
            )
            time.sleep(0.1)
            return Inserted(
                entries=count,
                entries_per_s=count / (done_at - start_at),
                cpu_per_million=worker.cpu_s(start_at, done_at) / count * 1e6,
                stored_per_s=count / (stored_at - start_at),
                cpu_stored_per_million=worker.cpu_s(start_at, stored_at) / count * 1e6,
                cpu_clickhouse_per_million=cpu_between(theirs.samples, start_at, stored_at) / count * 1e6,
                peak_mb=worker.peak_mb(),
            )


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A steady stream of deliveries to addresses that are not listed.

    Attributes:
        core_share: CPU seconds of the worker for a second of the stream.
        idle_core_share: The same without any stream.
        behind_s: How long after the last delivery was produced a bounce that follows it was published.
        peak_mb: Resident memory of the worker.
    """

    deliveries: int
    rate_per_s: float
    core_share: float
    idle_core_share: float
    behind_s: float
    peak_mb: float


def measure_deliveries(
    rate_per_s: int, seconds: int, directory: Path, *, timeout_s: float, say: Say = nothing
) -> Delivered:
    """Run a worker under a stream of deliveries.

    Raises:
        BenchError: It did not take them all in time.
    """
    count = rate_per_s * seconds
    with (
        stack.broker(directory, partitions=PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        running(Place.new(brokers, store.port, directory)) as worker,
    ):
        worker.wait_ready(timeout_s=READY_S)
        records = [
            stack.addressed(record)
            for record in deliveries("ok", count, at=datetime.now(UTC), partitions=PARTITIONS)
        ]
        idle_share = _idle(worker)
        start_at = time.time()
        with paced(brokers, records, rate_per_s=rate_per_s) as producing:
            worker.wait(
                told(worker.routed, count, say, ended=producing.done),
                what="the deliveries",
                timeout_s=timeout_s,
            )
            produced_at = producing.result()
        # These wait behind the deliveries wherever a partition has more of them to apply.
        load(brokers, hard_bounces("after", 50, at=datetime.now(UTC), partitions=PARTITIONS))
        end_at = worker.wait(lambda: worker.inserted() >= 50, what="the bounces after", timeout_s=timeout_s)
        time.sleep(0.1)
        return Delivered(
            deliveries=count,
            rate_per_s=count / (produced_at - start_at),
            core_share=worker.cpu_s(start_at, end_at) / (produced_at - start_at),
            idle_core_share=idle_share,
            behind_s=end_at - produced_at,
            peak_mb=worker.peak_mb(),
        )


def _idle(worker: Worker, *, seconds: float = 5.0) -> float:
    time.sleep(2)  # what starting left to do
    start_at = time.time()
    time.sleep(seconds)
    return worker.cpu_s(start_at, start_at + seconds) / seconds


def load(brokers: str, records: Iterable[Record]) -> None:
    """Append records of the workload; return when the broker has all."""
    stack.append(brokers, map(stack.addressed, records))


def told(
    look: Callable[[], int], count: int, say: Say, *, ended: Callable[[], bool] = lambda: True
) -> Callable[[], bool]:
    """Return a condition: `look` has reached a count; what it saw is told on the way."""

    def is_met() -> bool:
        seen = look()
        say(seen)
        return seen >= count and ended()

    return is_met
