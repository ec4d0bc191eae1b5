"""Produce -> visible at a steady rate: the percentiles."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final

from bench import stack
from bench.consumers import start_recorder, wait_assigned
from bench.running import POLL_S
from bench.steady import Placed, steady_load
from bench.watching import Observer, Watch
from bench.workload import Plan, generate

_PARTITIONS: Final = 4
_WARM_UP_S: Final = 2
_LAST_ROW_S: Final = 30.0


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
    with (
        stack.broker(directory, partitions=_PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        start_recorder(
            brokers=brokers, clickhouse_port=store.port, directory=directory, **settings
        ) as recorder,
    ):
        wait_assigned(recorder)
        watch = Watch()
        _produce(plan, brokers, watch, Observer(store, watch))
    return summarize(watch.latencies_ms)


def _produce(plan: LatencyPlan, brokers: str, watch: Watch, observer: Observer) -> None:
    """Produce at a steady rate; the first two seconds warm everything up and are not counted."""
    warm_up = _WARM_UP_S * plan.rate_per_s
    workload = Plan(
        event_count=warm_up + plan.rate_per_s * plan.duration_s,
        start_at=datetime.now(UTC),
        invalid_share=0.0,
        seed=random.randrange(1 << 30),
    )

    def note(placed: Placed) -> None:
        if placed.number >= warm_up:
            watch.produced(placed.topic, placed.partition, placed.offset, placed.at)

    records = list(generate(workload))
    with steady_load(records, brokers=brokers, rate_per_s=plan.rate_per_s, on_placed=note) as load:
        while not load.is_over:
            observer.look()
            time.sleep(POLL_S)
        load.finish()
        observer.wait(lambda _: not watch.waiting_count, what="the last records", timeout_s=_LAST_ROW_S)
