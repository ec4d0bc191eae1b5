"""One run of one variant: a fresh ClickHouse, a fresh consumer group, the clock, and the counts at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import meter, stack
from bench.consumers import start_consumer
from bench.environments import interpreter
from bench.processes import BenchError, Process
from bench.registry import Variant
from bench.templates import Template, copy_template
from bench.workload import NOTHING, Counts
from postloop.domain.errors import PostloopError

POLL_S: Final = 0.02
# Counting every 20 ms costs the embedded server about 15 % of a core. While more rows are missing than any variant
# inserts at once, it is asked seldom; the end is still seen to 20 ms.
_SELDOM_S: Final = 0.2
_LARGEST_INSERT_ROWS: Final = 60_000
_SETTLE_S: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one good run showed. CPU is in seconds per million records, memory in MB."""

    events_per_s: float
    seconds: float
    cpu_consumer: float
    cpu_clickhouse: float
    rss_consumer_mb: float
    rss_clickhouse_mb: float

    @property
    def cpu_sum(self) -> float:
        """CPU of both processes."""
        return self.cpu_consumer + self.cpu_clickhouse


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run: figures, or why there are none."""

    variant: str
    round_number: int
    figures: Figures | None = None
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        shown = {"variant": self.variant, "round": self.round_number}
        if self.figures is None:
            return {**shown, "failure": self.failure}
        return {**shown, **asdict(self.figures), "cpu_sum": self.figures.cpu_sum}


@dataclass(frozen=True, kw_only=True)
class Course:
    """The clock of a good run (Unix time), and what was sampled of both processes from their start to the end."""

    start_at: float
    end_at: float
    consumer: list[meter.Sample]
    clickhouse: list[meter.Sample]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all runs share.

    Attributes:
        directory: Where runs keep their files while they last.
        brokers: HOST:PORT of the loaded broker.
        record_count: Records in the topics.
        expected: What ClickHouse must hold at the end.
        timeout_s: A run that takes longer has failed.
        on_rows: Told the number of visible rows while a run lasts.
        template: What is stored before the run; it counts neither as rows nor as expected. None: nothing.
        settings: Of the recorder, by name; the others are the defaults.
    """

    directory: Path
    brokers: str
    record_count: int
    expected: Counts
    timeout_s: float
    on_rows: Callable[[int], None] = lambda _: None
    template: Template | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def stored(self) -> Counts:
        """What is counted before a run."""
        return NOTHING if self.template is None else self.template.counts


def run_once(bench: Bench, variant: Variant, *, round_number: int) -> Result:
    """Run a variant once; what goes wrong is in the result."""
    try:
        figures = figures_of(follow(bench, variant), record_count=bench.record_count)
        return Result(variant=variant.name, round_number=round_number, figures=figures)
    except PostloopError as error:
        return Result(variant=variant.name, round_number=round_number, failure=str(error))


def follow(bench: Bench, variant: Variant) -> Course:
    """Run a variant once and return its course.

    Raises:
        PostloopError: It did not end with exactly what it must store.
    """
    python = interpreter(variant.environment)
    with TemporaryDirectory(dir=bench.directory, prefix=variant.name, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        if bench.template is not None:
            copy_template(bench.template, directory)
        with stack.clickhouse(directory) as store:
            return _follow(bench, store, variant, directory, python=python)


def _follow(bench: Bench, store: stack.Store, variant: Variant, directory: Path, *, python: Path) -> Course:
    with ExitStack() as cleanup:
        consumer = cleanup.enter_context(
            start_consumer(
                variant,
                brokers=bench.brokers,
                clickhouse_port=store.port,
                directory=directory,
                python=python,
                **bench.settings,
            )
        )
        ours = cleanup.enter_context(meter.Sampler(consumer.pid))
        theirs = cleanup.enter_context(meter.Sampler(store.process.pid))
        end_at = _wait_for_rows(bench, store, consumer)
        check_counts(bench.stored + bench.expected, store)
        log = consumer.log() if variant.is_product else ""
        start_at = meter.assigned_at(log) if variant.is_product else meter.started_at(directory / "started")
        if start_at is None:
            raise BenchError("the start of the clock was not noted")
    return Course(start_at=start_at, end_at=end_at, consumer=ours.samples, clickhouse=theirs.samples)


def figures_of(course: Course, *, record_count: int) -> Figures:
    """Return the figures of a good run."""
    start_at, end_at = course.start_at, course.end_at
    seconds, millions = end_at - start_at, record_count / 1e6
    return Figures(
        events_per_s=record_count / seconds,
        seconds=seconds,
        cpu_consumer=meter.cpu_between(course.consumer, start_at, end_at) / millions,
        cpu_clickhouse=meter.cpu_between(course.clickhouse, start_at, end_at) / millions,
        rss_consumer_mb=meter.peak_mb(course.consumer),
        rss_clickhouse_mb=meter.peak_mb(course.clickhouse),
    )


def _wait_for_rows(bench: Bench, store: stack.Store, consumer: Process) -> float:
    """Return the moment at which the last row was seen, as Unix time."""
    deadline = time.monotonic() + bench.timeout_s
    while True:
        found, at = store.row_count() - bench.stored.rows, time.time()
        bench.on_rows(found)
        if found >= bench.expected.rows:
            return at
        if consumer.exit_code is not None:
            raise BenchError(f"it ended with {consumer.exit_code}: {consumer.last_line()}")
        if time.monotonic() > deadline:
            raise BenchError(f"{found} of {bench.expected.rows} rows after {bench.timeout_s:g} s")
        time.sleep(pause_s(missing=bench.expected.rows - found))


def pause_s(*, missing: int) -> float:
    """Return how long to wait before rows are counted again."""
    return _SELDOM_S if missing > _LARGEST_INSERT_ROWS else POLL_S


def check_counts(expected: Counts, store: stack.Store) -> None:
    """Wait until everything is counted as it must be: rollups and dead letters may follow the rows.

    Raises:
        BenchError: It still is not after a while.
    """
    deadline = time.monotonic() + _SETTLE_S
    while differences := expected.differences(store.counts()):
        if time.monotonic() > deadline:
            raise BenchError(f"wrong counts: {'; '.join(differences)}")
        time.sleep(0.2)
