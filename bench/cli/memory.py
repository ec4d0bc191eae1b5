"""`python -m bench memory`: resident memory of recorder and ClickHouse over a long run."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from bench import facts, stack
from bench.cli.common import JsonFile, Timeout, out, recent_hour, stop, workplace, write
from bench.cli.rounds import loaded_bench, with_bar
from bench.memory import measure_memory, table
from bench.workload import Plan
from postloop.domain.errors import PostloopError


def register(app: typer.Typer) -> None:
    """Add `memory`."""
    app.command()(memory)


def memory(
    events: Annotated[int, typer.Option(min=1000, help="Records in the topics.")] = 2_000_000,
    timeout_s: Timeout = 900.0,
    json_file: JsonFile = None,
) -> None:
    """Follow the memory of recorder and ClickHouse over a long run: python -m bench memory --events 2000000

    Exit code 1: the run failed.
    """
    plan = Plan(event_count=events, start_at=recent_hour())
    with workplace() as place:
        try:
            with stack.broker(place.directory, partitions=plan.partition_count) as brokers:
                bench, _ = loaded_bench(plan, brokers, place, timeout_s=timeout_s)
                try:
                    with with_bar(bench, place, "recorder") as watched:
                        found = measure_memory(watched)
                except PostloopError as error:
                    raise stop(f"the run failed: {error}", code=1) from None
        except PostloopError as error:
            raise stop(str(error), code=3) from None
    out.print(table(found))
    if json_file:
        document = {"measured_at": datetime.now(UTC), "machine": facts.machine(), "workload": asdict(plan)}
        write(json_file, {**document, **asdict(found)})
