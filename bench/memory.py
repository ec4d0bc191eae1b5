"""Resident memory over the course of a long run, by tenth of its progress."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from rich.table import Table

from bench import meter
from bench.registry import VARIANTS
from bench.running import Bench, Figures, figures_of, follow

PARTS: Final = 10
_CAPTION: Final = (
    "start: when partitions were assigned. Each tenth: the median of the samples until it was visible."
)


class Mark(NamedTuple):
    """How many rows were visible at a moment (Unix time)."""

    at: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Megabytes of one process: at the assignment, the median of each tenth of the progress, the peak."""

    start_mb: float
    tenths_mb: list[float]
    peak_mb: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """One long run."""

    figures: Figures
    consumer: Memory
    clickhouse: Memory


def measure_memory(bench: Bench) -> Found:
    """Run the recorder over everything in the topics and return the memory of it and of ClickHouse.

    Raises:
        PostloopError: The run failed.
    """
    marks: list[Mark] = []

    def note(rows: int) -> None:
        marks.append(Mark(time.time(), rows))
        bench.on_rows(rows)

    course = follow(replace(bench, on_rows=note), VARIANTS["postloop"])
    edges = [course.start_at, *moments(marks, total=bench.expected.rows)]
    return Found(
        figures=figures_of(course, record_count=bench.record_count),
        consumer=memory_of(course.consumer, edges),
        clickhouse=memory_of(course.clickhouse, edges),
    )


def moments(marks: Sequence[Mark], *, total: int) -> list[float]:
    """Return when each tenth of `total` rows was first seen; the last mark must show all of them."""
    counts = [mark.rows for mark in marks]
    return [marks[bisect_left(counts, total * part / PARTS)].at for part in range(1, PARTS + 1)]


def memory_of(samples: Sequence[meter.Sample], edges: Sequence[float]) -> Memory:
    """Return the memory between edges: the assignment and the end of each tenth.

    A tenth without a sample has the memory of the last one before its end.
    """
    at = [sample.at for sample in samples]
    tenths = []
    for start_at, end_at in pairwise(edges):
        end = max(1, bisect_right(at, end_at))
        first = min(bisect_left(at, start_at), end - 1)
        tenths.append(median(meter.megabytes(sample) for sample in samples[first:end]))
    start = samples[max(0, bisect_right(at, edges[0]) - 1)]
    return Memory(start_mb=meter.megabytes(start), tenths_mb=tenths, peak_mb=meter.peak_mb(samples))


def table(found: Found) -> Table:
    """Return the memory of both processes as a table."""
    shown = Table(title="Resident memory in MB, by progress", caption=_CAPTION, caption_justify="left")
    shown.add_column("process", no_wrap=True)
    for name in ("start", *(f"{part * 100 // PARTS} %" for part in range(1, PARTS + 1)), "peak"):
        shown.add_column(name, justify="right")
    for name, memory in (("recorder", found.consumer), ("ClickHouse", found.clickhouse)):
        values = (memory.start_mb, *memory.tenths_mb, memory.peak_mb)
        shown.add_row(name, *(f"{value:,.0f}" for value in values))
    return shown
