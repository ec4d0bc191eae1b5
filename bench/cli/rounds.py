"""Loaded topics and runs with their bars, for all commands that measure whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bench import registry, stack
from bench.cli.common import Workplace, err
from bench.environments import EnvironmentFailedError, interpreter
from bench.running import Bench, Result, run_once
from bench.workload import Plan, Tally, generate


def _load_topics(plan: Plan, brokers: str, place: Workplace) -> Tally:
    """Produce the workload of a plan and return its counts."""
    tally, task = Tally(), place.bar.add_task("loading the topics", total=plan.event_count)

    def count(record: Any) -> None:
        tally.add(record)
        if tally.record_count % 1000 == 0:
            place.bar.update(task, completed=tally.record_count)

    stack.load(brokers, generate(plan), partitions=plan.partition_count, on_record=count)
    place.bar.remove_task(task)
    return tally


def loaded_bench(plan: Plan, brokers: str, place: Workplace, *, timeout_s: float) -> tuple[Bench, Tally]:
    """Load the topics of a broker and return what runs on it share."""
    tally = _load_topics(plan, brokers, place)
    bench = Bench(
        directory=place.directory,
        brokers=brokers,
        record_count=tally.record_count,
        expected=tally.counts,
        timeout_s=timeout_s,
    )
    return bench, tally


@contextmanager
def with_bar(bench: Bench, place: Workplace, title: str) -> Iterator[Bench]:
    """Yield the bench with a bar that follows the visible rows of one run."""
    task = place.bar.add_task(title, total=bench.expected.rows)
    yield replace(bench, on_rows=lambda rows: place.bar.update(task, completed=rows))
    place.bar.remove_task(task)


def run_variants(
    plan: Plan, wanted: list[registry.Variant], place: Workplace, *, rounds: int, timeout_s: float
) -> tuple[list[Result], Tally]:
    """Load the topics and run each variant once a round, every round in another order."""
    broken = _prepare(wanted, place)
    ready = [variant for variant in wanted if variant.name not in broken]
    results = [Result(variant=name, round_number=0, failure=reason) for name, reason in broken.items()]
    with stack.broker(place.directory, partitions=plan.partition_count) as brokers:
        bench, tally = loaded_bench(plan, brokers, place, timeout_s=timeout_s)
        for number in range(rounds if ready else 0):
            for variant in registry.rotated(ready, number):
                with with_bar(bench, place, f"round {number + 1}/{rounds} {variant.name}") as watched:
                    results.append(run_once(watched, variant, round_number=number))
                place.say(line(results[-1], f"{variant.name:<11}"))
    return results, tally


def line(result: Result, name: str) -> str:
    """Return one line about a run that has just ended."""
    if result.figures is None:
        return f"round {result.round_number + 1}  {name} failed: {result.failure}"
    figures = result.figures
    return (
        f"round {result.round_number + 1}  {name} {figures.events_per_s:>9,.0f} events/s, "
        f"CPU {figures.cpu_consumer:.1f} + {figures.cpu_clickhouse:.1f} s per million"
    )


def _prepare(wanted: list[registry.Variant], place: Workplace) -> dict[str, str]:
    """Make the environments; return why for each variant whose environment cannot be made."""
    broken: dict[str, str] = {}
    for variant in wanted:
        task = place.bar.add_task(f"environment of {variant.name}", total=None)
        try:
            interpreter(variant.environment)
        except EnvironmentFailedError as error:
            broken[variant.name] = str(error)
            err.print(f"{variant.name} is left out: {error}", markup=False)
        place.bar.remove_task(task)
    return broken
