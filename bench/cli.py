"""`python -m bench`: run the variants against each other, or measure latency."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import facts, registry, report, stack
from bench import gate as gates
from bench.classify import measure_file, measure_fuzz
from bench.environments import EnvironmentFailedError, interpreter
from bench.latency import LatencyPlan, measure_latency
from bench.running import Bench, Result, run_once
from bench.workload import Plan, Tally, generate
from postloop.domain.errors import PostloopError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Benchmarks; docs/performance.md explains them."
)
# Wide enough for the table where the output is a file.
_out = Console(width=None if sys.stdout.isatty() else 140)
_err = Console(stderr=True)
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")]


@app.callback()
def main() -> None:
    """Leave by way of an exception when told to stop: whatever was started is then stopped too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@app.command()
def run(
    rounds: Annotated[int, typer.Option(min=1, help="How often each variant runs, in turn.")] = 3,
    variants: Annotated[str, typer.Option(help="Comma separated; default: all.")] = "",
    events: Annotated[int, typer.Option(min=1000, help="Records in the topics.")] = 400_000,
    partitions: Annotated[int, typer.Option(min=1, help="Of each of the six topics.")] = 4,
    domains: Annotated[int, typer.Option(min=1, help="Sender domains.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the workload.")] = 1,
    timeout_s: Annotated[float, typer.Option(help="Longest time of one run.")] = 300.0,
    json_file: JsonFile = None,
) -> None:
    """Run the variants in interleaved rounds: python -m bench run --rounds 3 --variants postloop,confluent"""
    plan = Plan(
        event_count=events,
        start_at=_recent_hour(),
        seed=seed,
        domain_count=domains,
        partition_count=partitions,
    )
    try:
        wanted = registry.chosen(variants)
    except PostloopError as error:
        raise _stop(str(error), code=2) from None
    with tempfile.TemporaryDirectory(prefix="postloop-bench-") as directory, _progress() as bar:
        try:
            results, tally = _rounds(
                plan, wanted, Path(directory), rounds=rounds, timeout_s=timeout_s, bar=bar
            )
        except PostloopError as error:
            raise _stop(str(error), code=3) from None
    _out.print(report.table(results))
    for failure in report.failures(results):
        _out.print(failure, style="red", markup=False, soft_wrap=True)
    if json_file:
        workload = {**asdict(plan), "average_bytes": tally.byte_count / tally.record_count}
        _write(json_file, _document(results, wanted, workload, asdict(tally.counts)))
    if any(result.figures is None for result in results):
        raise typer.Exit(1)


def _rounds(
    plan: Plan,
    wanted: list[registry.Variant],
    directory: Path,
    *,
    rounds: int,
    timeout_s: float,
    bar: Progress,
) -> tuple[list[Result], Tally]:
    broken = _prepare(wanted, bar)
    ready = [variant for variant in wanted if variant.name not in broken]
    results = [Result(variant=name, round_number=0, failure=reason) for name, reason in broken.items()]
    tally = Tally()
    with stack.broker(directory, partitions=plan.partition_count) as brokers:
        task = bar.add_task("loading the topics", total=plan.event_count)

        def count(record: Any) -> None:
            tally.add(record)
            if tally.record_count % 1000 == 0:
                bar.update(task, completed=tally.record_count)

        stack.load(brokers, generate(plan), partitions=plan.partition_count, on_record=count)
        bar.remove_task(task)
        for number in range(rounds if ready else 0):
            for variant in registry.rotated(ready, number):
                task = bar.add_task(f"round {number + 1}/{rounds} {variant.name}", total=tally.counts.rows)
                bench = Bench(
                    directory=directory,
                    brokers=brokers,
                    record_count=tally.record_count,
                    expected=tally.counts,
                    timeout_s=timeout_s,
                    on_rows=lambda rows, task=task: bar.update(task, completed=rows),  # type: ignore[misc]
                )
                results.append(run_once(bench, variant, round_number=number))
                bar.remove_task(task)
                bar.console.print(_line(results[-1]), highlight=False, markup=False, soft_wrap=True)
    return results, tally


def _prepare(wanted: list[registry.Variant], bar: Progress) -> dict[str, str]:
    """Make the environments; return why for each variant whose environment cannot be made."""
    broken: dict[str, str] = {}
    for variant in wanted:
        task = bar.add_task(f"environment of {variant.name}", total=None)
        try:
            interpreter(variant.environment)
        except EnvironmentFailedError as error:
            broken[variant.name] = str(error)
            _err.print(f"{variant.name} is left out: {error}", markup=False)
        bar.remove_task(task)
    return broken


@app.command()
def latency(
    rate: Annotated[int, typer.Option(min=1, help="Records a second.")] = 1000,
    seconds: Annotated[int, typer.Option(min=2, help="How long to produce.")] = 20,
    json_file: JsonFile = None,
) -> None:
    """Measure produce -> visible of the recorder: python -m bench latency --rate 1000 --seconds 20"""
    found = {}
    with tempfile.TemporaryDirectory(prefix="postloop-bench-") as directory, _progress() as bar:
        for name, linger in (("default", ""), ("linger 50 ms", "50ms")):
            task = bar.add_task(f"latency, {name}", total=None)
            plan = LatencyPlan(rate_per_s=rate, duration_s=seconds, linger=linger)
            try:
                found[name] = measure_latency(plan, Path(directory) / (linger or "default"))
            except PostloopError as error:
                raise _stop(str(error), code=3) from None
            bar.remove_task(task)
            shown = found[name]
            bar.console.print(
                f"{name}: p50 {shown.p50_ms:.0f} ms, p95 {shown.p95_ms:.0f} ms, p99 {shown.p99_ms:.0f} ms, "
                f"longest {shown.longest_ms:.0f} ms ({shown.count} records)",
                highlight=False,
            )
    if json_file:
        _write(json_file, {"machine": facts.machine(), "rate_per_s": rate, "latency": found})


@app.command()
def classify(
    file: Annotated[Path, typer.Argument(help="JSON lines, as `postloop classify --jsonl` reads them.")],
    rounds: Annotated[int, typer.Option(min=1, help="Of each text the fastest round counts.")] = 20,
    texts: Annotated[int, typer.Option(min=4, help="Made up texts of 100 kB.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the made up texts.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Measure the time of a verdict on a bounce: python -m bench classify bounces.jsonl"""
    found = {
        "file": measure_file(file, rounds=rounds),
        "fuzz": measure_fuzz(texts, seed=seed, rounds=min(rounds, 3)),
    }
    for name, times in found.items():
        _out.print(
            f"{name}: median {times.median_us:,.0f} µs, p99 {times.p99_us:,.0f} µs, longest "
            f"{times.longest_us:,.0f} µs ({times.count} texts; rules loaded in {times.load_ms:.0f} ms)",
            highlight=False,
        )
    if json_file:
        _write(json_file, {"machine": facts.machine(), "classify": found})


@app.command()
def gate(
    rounds: Annotated[int, typer.Option(min=1, help="Of both sides, in turn.")] = 2,
    events: Annotated[int, typer.Option(min=1000, help="Records in the topics.")] = 100_000,
    note: Annotated[str, typer.Option(help="Note the ratios for this change, instead of judging them.")] = "",
) -> None:
    """Compare our cost with a plain loop's and with what was noted: python -m bench gate

    Exit code 1: a ratio got worse by more than the margin, or a run failed.
    """
    plan = Plan(event_count=events, start_at=_recent_hour())
    wanted = registry.chosen(f"{report.BASE},{gates.PEER}")
    with tempfile.TemporaryDirectory(prefix="postloop-bench-") as directory, _progress() as bar:
        try:
            results, _ = _rounds(plan, wanted, Path(directory), rounds=rounds, timeout_s=300, bar=bar)
            found = gates.ratios_of(results)
        except (PostloopError, ValueError) as error:
            raise _stop(str(error), code=3) from None
    for failure in report.failures(results):
        raise _stop(failure, code=1)
    notes = gates.read_notes()
    _out.print(gates.trend(notes, found))
    if note:
        gates.add_note(gates.Note(at=f"{datetime.now(UTC):%Y-%m-%d}", change=note, ratios=found))
    elif notes and (worse := gates.complaints(found, notes[-1].ratios)):
        raise _stop("; ".join(worse), code=1)


def _recent_hour() -> datetime:
    """Return the start of an hour that has wholly passed: no event lies in the future."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


def _document(
    results: list[Result], wanted: list[registry.Variant], workload: dict[str, Any], counts: dict[str, int]
) -> dict[str, Any]:
    made = [v for v in wanted if any(r.variant == v.name and r.figures for r in results)]
    return {
        "measured_at": datetime.now(UTC),
        "machine": facts.machine(),
        "versions": facts.package_versions(made),
        "workload": workload,
        "expected": counts,
        "clock": report.FOOTNOTE,
        "summary": report.summary(results),
        "runs": [result.as_json() for result in results],
    }


def _line(result: Result) -> str:
    if result.figures is None:
        return f"round {result.round_number + 1}  {result.variant:<11} failed: {result.failure}"
    figures = result.figures
    return (
        f"round {result.round_number + 1}  {result.variant:<11} {figures.events_per_s:>9,.0f} events/s, "
        f"CPU {figures.cpu_consumer:.1f} + {figures.cpu_clickhouse:.1f} s per million"
    )


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, default=_plain) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _progress() -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    return Progress(*columns, console=_err, transient=True)


def _stop(text: str, *, code: int) -> typer.Exit:
    _err.print(f"error: {text}", markup=False)
    return typer.Exit(code)
